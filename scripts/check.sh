#!/usr/bin/env bash
# Style, types of magi_core and nodes, and js: everything that is checked without running the tests.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
source scripts/environment.sh
make_environment requirements.txt tests/requirements.txt
failed=0

check() {
    local name="$1"
    shift
    if "$@"; then
        echo "$name: good"
    else
        echo "$name: FAILED" >&2
        failed=1
    fi
}

check "style" "$PYTHON" -m ruff check .
check "format" "$PYTHON" -m ruff format --check .
check "types" "$PYTHON" -m mypy magi_core nodes
if [ -f scripts/check_js.sh ]; then
    check "js" bash scripts/check_js.sh
fi
exit "$failed"
