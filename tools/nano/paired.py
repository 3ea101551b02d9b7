"""Two reports on the same prompts and seeds, case by case: what one loses against the other, with its 95% interval.

    python -m tools.nano.paired FAST.json PLAIN.json

A line for every share of the table, in points (of a hundred), and one for all of them: the mean over a case's shares.
Bar: the upper end of that one's interval <= 2 points.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.nano.intervals import bootstrap
from tools.nano.report import STATISTICS
from tools.nano.table import TABLE, Line

BAR = 2.0
Cases = Mapping[str, Sequence[Mapping[str, Any]]]
"""Findings of a report by "row source"."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("against", type=Path)
    options = parser.parse_args()
    report, against = (json.loads(path.read_text(encoding="utf-8"))["results"] for path in vars(options).values())
    for name, lost in losses(report, against).items():
        print(f"{name}: {in_words(lost)}")
    whole = all_lost(report, against)
    low, high = interval(whole)
    print(json.dumps({"lost": round(mean(whole), 2), "low": low, "high": high, "n": len(whole), "bar": BAR}))
    print("met" if high <= BAR else "missed")


def losses(report: Cases, against: Cases) -> dict[str, list[float]]:
    """Points that each case of `report` loses against the same case of the other, for every share of the table."""
    lost = {f"{line.row}, {line.says}": _lost(line, report, against) for line in TABLE if line.kind == "share"}
    return {name: values for name, values in lost.items() if values}


def all_lost(report: Cases, against: Cases) -> list[float]:
    """Points that each case loses, the mean over its shares."""
    lost = []
    for place in dict.fromkeys(f"{line.row} {line.source}" for line in TABLE):
        keys = [line.key for line in TABLE if line.kind == "share" and f"{line.row} {line.source}" == place]
        for one, other in _pairs(place, report, against):
            shared = [key for key in keys if one.get(key) is not None and other.get(key) is not None]
            if shared:
                lost.append(100 * mean([float(other[key]) - float(one[key]) for key in shared]))
    return lost


def _lost(line: Line, report: Cases, against: Cases) -> list[float]:
    return [
        100 * (float(other[line.key]) - float(one[line.key]))
        for one, other in _pairs(f"{line.row} {line.source}", report, against)
        if one.get(line.key) is not None and other.get(line.key) is not None
    ]


def _pairs(place: str, report: Cases, against: Cases) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    others = {found["case"]: found for found in against.get(place, ()) if "case" in found}
    return [(found, others[found["case"]]) for found in report.get(place, ()) if found.get("case") in others]


def mean(values: Sequence[float]) -> float:
    return STATISTICS["mean"](values)


def interval(lost: Sequence[float]) -> tuple[float, float]:
    low, high = bootstrap(STATISTICS["mean"], lost)
    return round(low, 2), round(high, 2)


def in_words(lost: Sequence[float]) -> str:
    low, high = interval(lost)
    return f"{mean(lost):.2f} points lost ({low:.2f} to {high:.2f}), n = {len(lost)}"


if __name__ == "__main__":
    main()
