"""Findings to lines of the table, as Markdown and JSON: value, n, 95% interval, bar, met or missed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tools.nano.intervals import bootstrap, wilson
from tools.nano.judging import Findings
from tools.nano.table import TABLE, Line

Results = Mapping[tuple[str, str], Sequence[Findings]]
"""Findings by (row, source)."""

Entry = dict[str, Any]
POINTS = 0.03  # how far a distilled model may stay behind its base


def _p95(lists: Sequence[Sequence[float]]) -> float:
    values = [value for values in lists for value in values]
    return float(np.percentile(values, 95)) if values else float("nan")


def _pooled(pairs: Sequence[tuple[float, float]]) -> float:
    weight = sum(weight for _, weight in pairs)
    return sum(total for total, _ in pairs) / weight if weight else float("nan")


def _list_mean(lists: Sequence[Sequence[float]]) -> float:
    values = [value for values in lists for value in values]
    return sum(values) / len(values) if values else float("nan")


def _above_chance(pairs: Sequence[tuple[str, str]]) -> float:
    """Agreement of each pair, less that of all first words with all second words: what is left is memory."""
    first, second = (np.array([pair[i] for pair in pairs]) for i in (0, 1))
    chance = sum(float((first == word).mean() * (second == word).mean()) for word in set(first))
    return float((first == second).mean() - chance)


def _gap(lists: Sequence[Sequence[float]]) -> float:
    """Of values per video that should rise: the least gap between the 95% intervals of the means of neighbours."""
    intervals = [bootstrap(STATISTICS["mean"], column) for column in zip(*lists, strict=True)]
    return min(after[0] - before[1] for before, after in zip(intervals, intervals[1:], strict=False))


STATISTICS: dict[str, Callable[[Sequence[Any]], float]] = {
    "share": lambda values: float(np.mean(values)),
    "mean": lambda values: float(np.mean(values)),
    "list mean": _list_mean,
    "p95": _p95,
    "pooled": _pooled,
    "above chance": _above_chance,
    "gap": _gap,
}


def summarise(results: Results, table: Sequence[Line] = TABLE) -> list[Entry]:
    """One entry per line of the table for which there are findings."""
    entries = []
    for line in table:
        values = _values(results, line)
        other = _values(results, replace(line, source=line.against)) if line.against else []
        if values and (other or not line.against):
            entries.append(_entry(line, values, other))
    return entries


def _values(results: Results, line: Line) -> list[Any]:
    found = results.get((line.row, line.source), ())
    return [f[line.key] for f in found if f.get(line.key) is not None]


def _entry(line: Line, values: list[Any], other: list[Any]) -> Entry:
    statistic = STATISTICS[line.kind]
    value = statistic(values) / (statistic(other) if other else 1.0)
    if line.kind == "share":
        low, high = wilson(sum(values), len(values))
    elif len(values) > 1 and line.kind != "gap":
        low, high = (bound / (statistic(other) if other else 1.0) for bound in bootstrap(statistic, values))
    else:
        low = high = None
    counted = sum(map(len, values)) if line.kind in ("p95", "list mean") else len(values)
    return {
        "row": line.row,
        "source": line.source,
        "measure": line.says,
        "kind": line.kind,
        "n": counted,
        "value": round(value, 4),
        "low": None if low is None else round(low, 4),
        "high": None if high is None else round(high, 4),
        "bar": line.bar,
        "met": line.passes(value),
    }


def compare(entries: Sequence[Entry], against: Sequence[Entry]) -> list[Entry]:
    """The entries with `difference` from those of another report; shares also with `near`: at most 3 points behind."""
    others = {(entry["row"], entry["source"], entry["measure"]): entry for entry in against}
    compared = []
    for entry in entries:
        other = others.get((entry["row"], entry["source"], entry["measure"]))
        if other is not None:
            difference = round(entry["value"] - other["value"], 4)
            near = difference >= -POINTS if entry["kind"] in ("share", "list mean") else None
            entry = entry | {"difference": difference, "near": near}
        compared.append(entry)
    return compared


VERDICTS = {True: "met", False: "**missed**", None: ""}


def markdown(entries: Sequence[Entry]) -> str:
    """The table; with two more columns where entries are compared with another report's."""
    compared = any("difference" in entry for entry in entries)
    head = ["row", "measure", "value", "n", "95% interval", "bar", ""]
    head += ["difference", "within 3 points"] if compared else []
    lines = [head, ["---"] * len(head)]
    for entry in entries:
        interval = "" if entry["low"] is None else f"{entry['low']:.3f} to {entry['high']:.3f}"
        cells = [entry["row"], entry["measure"], f"{entry['value']:.3f}", str(entry["n"]), interval]
        cells += [entry["bar"], VERDICTS[entry["met"]]]
        if compared:
            known = "difference" in entry
            cells += [f"{entry['difference']:+.3f}" if known else "", VERDICTS[entry["near"]] if known else ""]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
