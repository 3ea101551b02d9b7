"""`python -m tools.fuzz.guided TARGET --minutes N`: the same inputs, led by what code they reach.

Needs `pip install atheris` (Linux). Stops at the first finding, with exit status 77; it is kept in the folder `--keep`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["magi_core"]):
    from tools.fuzz.hunt import given
    from tools.fuzz.targets import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz.guided", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz_findings"))
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    target = TARGETS[options.target]
    corpus = Path(tempfile.mkdtemp(prefix="magi-fuzz-"))  # left behind: the fuzzer ends the process
    for number, content in enumerate(target.seeds()):
        (corpus / f"seed.{number}").write_bytes(content)

    def one(content: bytes) -> None:
        folder = Path(tempfile.mkdtemp())
        said = given(target.read, content, folder)
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(said, str):
            raise AssertionError(said)

    limits = [f"-max_total_time={60 * options.minutes:.0f}", "-max_len=65536", "-rss_limit_mb=8192", "-handle_alrm=0"]
    where = [f"-artifact_prefix={options.keep / options.target}.", f"-seed={options.seed}", str(corpus)]
    atheris.Setup([sys.argv[0], *limits, *where], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
