"""Rows of the model card from two reports: `python -m tools.nano.side_by_side BASE.json DISTILLED.json`.

Prints a line per measure with its bar, and value, interval and n of both models; `--all` keeps lines without a bar.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from tools.nano.report import VERDICTS, Entry

HEAD = "| what | bar | base | n | distilled | n |\n|---|---|---|---|---|---|\n"


def rows(base: Sequence[Entry], distilled: Sequence[Entry], *, every: bool = False) -> str:
    """The card's table as Markdown; a measure that one report lacks has empty cells there."""
    found = {(entry["row"], entry["source"], entry["measure"]): entry for entry in base}
    others = {(entry["row"], entry["source"], entry["measure"]): entry for entry in distilled}
    lines = []
    for key in [*found, *(key for key in others if key not in found)]:
        entry = found.get(key) or others[key]
        if entry["bar"] or every:
            cells = [
                f"{entry['row']}: {entry['measure']}",
                entry["bar"],
                *_cells(found.get(key)),
                *_cells(others.get(key)),
            ]
            lines.append(f"| {' | '.join(cells)} |\n")
    return HEAD + "".join(lines)


def _cells(entry: Entry | None) -> list[str]:
    """Value with its interval and verdict, and n."""
    if entry is None:
        return ["", ""]
    interval = "" if entry["low"] is None else f" ({entry['low']:.2f} to {entry['high']:.2f})"
    missed = f" {VERDICTS[False]}" if entry["met"] is False else ""
    return [f"{entry['value']:.2f}{interval}{missed}", str(entry["n"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("distilled", type=Path)
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    base, distilled = (json.loads(path.read_text(encoding="utf-8"))["lines"] for path in (args.base, args.distilled))
    print(rows(base, distilled, every=args.all), end="")


if __name__ == "__main__":
    main()
