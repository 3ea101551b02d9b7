"""`python -m tools.fuzz TARGET|all --minutes N`: a line for each target; exit status 1 where something was found.

`graphs` needs a ComfyUI, the others none.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from tools.fuzz.graphs import hunt_graphs
from tools.fuzz.hunt import hunt
from tools.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("target", choices=["all", "graphs", *TARGETS])
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same inputs in the same order")
    parser.add_argument("--keep", type=Path, default=Path("fuzz_findings"), help="folder for inputs that were found")
    given = parser.parse_args()
    failed = False
    for name in [*TARGETS, "graphs"] if given.target == "all" else [given.target]:
        seconds = 60 * given.minutes
        found = hunt_graphs(seconds, given.seed) if name == "graphs" else hunt(name, seconds, given.seed)
        print(f"{name}: {found.inputs} inputs, {found.accepted} read, {len(found.findings)} findings", flush=True)
        for what, content in found.findings:
            failed = True
            given.keep.mkdir(parents=True, exist_ok=True)
            file = given.keep / f"{name}.{hashlib.sha256(content).hexdigest()[:8]}"
            file.write_bytes(content)
            print(f"  {file}\n{what}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
