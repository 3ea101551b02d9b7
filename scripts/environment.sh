# Makes .venv and installs into it. Sourced by demo.sh and test.sh, with the repository's root as working directory.

PYTHON=.venv/bin/python

# The models of tests and demo are small: threads would mostly wait for each other, above all on a busy machine.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

stop() {
    printf '%s\n' "$*" >&2
    exit 1
}

install() {
    "$PYTHON" -m pip install -qq --no-input --disable-pip-version-check "$@"
}

# make_environment FILE...: everything that these requirements files ask for. Quick when nothing has changed.
make_environment() {
    local stamp=.venv/installed wanted file files=()
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
        stop "Python 3.10 or newer is needed as 'python3'; here it is: $(python3 --version 2>&1)"
    wanted="$* $({ python3 --version && cat scripts/environment.sh scripts/constraints.txt "$@"; } | cksum)"
    if [ -x "$PYTHON" ] && grep -qxF "$wanted" "$stamp" 2>/dev/null; then
        return
    fi
    if ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
        echo "making .venv"
        python3 -m venv --clear .venv ||
            stop "could not make .venv: install your system's package for Python's venv module (python3-venv on Debian)"
    fi
    if ! "$PYTHON" -c 'import torch' 2>/dev/null; then
        echo "installing torch (once; this can take some minutes)"
        install -c scripts/constraints.txt torch || install torch || stop "could not install torch: pip's message above says why"
    fi
    for file in "$@"; do
        files+=(-r "$file")
    done
    echo "installing ${*}"
    install "${files[@]}" || stop "could not install ${*}: pip's message above says why"
    printf '%s\n' "$wanted" >>"$stamp"
}
