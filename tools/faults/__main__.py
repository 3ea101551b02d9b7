"""`python -m tools.faults --kills 200`: kill renders at random and count what is lost. Exit code 1 if anything is."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch

from tools.faults.kills import Kill, kills


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--chunks", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: list[Kill] = []
    with tempfile.TemporaryDirectory(prefix="magi-faults-") as folder:
        for kill in kills(options.kills, options.chunks, Path(folder), options.seed):
            results.append(kill)
            for fault in kill.faults:
                print(f"kill {len(results)}, {kill.moment}, {kill.saved} chunks saved: {fault}", flush=True)
            if len(results) % 10 == 0:
                print(f"{len(results)} kills", flush=True)
    return report(results)


def report(results: list[Kill]) -> int:
    """Print the counts; 1 where anything was lost or left behind."""
    resumed = [kill.apart for kill in results if kill.apart is not None]
    for moment, count in Counter(kill.moment for kill in results).most_common():
        print(f"{moment}: {count}")
    print(f"killed {len(results)} times, {sum(kill.saved > 0 for kill in results)} of them after the first chunk")
    print(
        f"resumed {len(resumed)}: {resumed.count(0.0)} bit for bit, largest difference {max(resumed, default=0.0):.2g}"
    )
    faulty = sum(bool(kill.faults) for kill in results)
    print(f"with something lost or left behind: {faulty}")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
