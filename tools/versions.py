"""Runs tests with the oldest and with the newest of every needed package, each in an environment of its own.

    python -m tools.versions [floor | newest] [--python python3.11] [--set av==12.3.0 ...] [-- pytest's arguments]

What is needed is in `magi_core/cli/needed.py`. torch is the one of scripts/constraints.txt in both, unless --set names
another. Environments are made in a temporary folder, or in --keep FOLDER, where they are used again. Prints which
releases were there and how the tests ended; ends with status 1 where some failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from magi_core.cli.needed import NEEDED, Needed

REPOSITORY = Path(__file__).parents[1]
TESTS = ("tests/unit", "tests/architecture", "tests/parity", "tests/nodes")
TEST_TOOLS = ("pytest>=8", "hypothesis>=6.100", "zstandard")
CONSTRAINTS = REPOSITORY / "scripts" / "constraints.txt"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ends", nargs="?", choices=("floor", "newest", "both"), default="both")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME==RELEASE", help="in place of the end's own")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    given = sys.argv[1:] if arguments is None else arguments
    split = given.index("--") if "--" in given else len(given)
    options, tests = parser.parse_args(given[:split]), given[split + 1 :] or list(TESTS)
    results = {}
    for end in ("floor", "newest") if options.ends == "both" else (options.ends,):
        with tempfile.TemporaryDirectory() as scratch:
            folder = (options.keep or Path(scratch)) / end
            python = make_environment(folder, options.python, wanted(end, options.set))
            releases = installed(python)
            passed = run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests])
        results[end] = (releases, passed)
    for end, (releases, passed) in results.items():
        print(f"{end}: {'passed' if passed else 'FAILED'} with {', '.join(releases)}")
    return int(not all(passed for _, passed in results.values()))


def wanted(end: str, replaced: list[str]) -> list[str]:
    """What to ask pip for, torch apart: "av==12.3.0" at the floor, "av>=12.3,!=14.0.0" for the newest."""
    own = {name.partition("==")[0]: name for name in replaced}
    rest = [needed for needed in NEEDED if needed.name != "torch"]
    asked = {needed.name: at_floor(needed) if end == "floor" else needed.asked for needed in rest}
    return list((asked | own).values())


def at_floor(needed: Needed) -> str:
    """The first release that its floor allows: 0.7 is 0.7.0, and 4.45 is 4.45.0."""
    return f"{needed.name}=={needed.floor}" + ".0" * (2 - needed.floor.count("."))


def make_environment(folder: Path, python: str, packages: list[str]) -> str:
    """The interpreter of an environment with `packages`, torch first: pip would bring another one for their sake."""
    own = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not own.exists():
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
    pip = [str(own), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    torch = [name for name in packages if name.startswith("torch==")]
    subprocess.run([*pip, *(torch or ["-c", str(CONSTRAINTS), "torch"])], check=True)
    subprocess.run([*pip, "--upgrade", *(name for name in packages if name not in torch), *TEST_TOOLS], check=True)
    return str(own)


def installed(python: str) -> list[str]:
    """Releases of what is needed, as this interpreter finds them."""
    code = "import importlib.metadata as m, sys\nfor name in sys.argv[1:]: print(name, m.version(name))"
    names = [needed.name for needed in NEEDED]
    done = subprocess.run([python, "-c", code, *names], check=True, capture_output=True, text=True)
    about = subprocess.run([python, "--version"], check=True, capture_output=True, text=True)
    return [about.stdout.strip(), *done.stdout.splitlines()]


def run(command: list[str]) -> bool:
    return subprocess.run(command, cwd=REPOSITORY, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
