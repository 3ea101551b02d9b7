"""Score a model folder with the classical analyser: do chunks show what prompts say, does the rest stay?

    python -m tools.nano.evaluate --model nano --rows all --samples table --device cuda --out runs/base
    python -m tools.nano.evaluate --model nano --variant distill --rows all --samples table --against runs/base.json
    python -m tools.nano.evaluate --model nano --rows single,swap --samples 50
    python -m tools.nano.evaluate --model nano --rows single,memory --samples 50 --ceiling
    python -m tools.nano.evaluate --model nano --rows all --samples table --join runs/base.json

Videos are made by `magi_core.load(model)`, nothing is injected. Prints the table as Markdown and writes REPORT.md and
REPORT.json: per line n, 95% interval, the bar and whether it is met. --ceiling scores the drawn films of the same
scripts, and those passed through the VAE, in place of generated videos: what the analyser can tell. --join goes on from
the reports of runs with the same --seed that were ended early.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.nano import report
from tools.nano.cases import ROWS, TABLE_COUNTS
from tools.nano.judging import Findings
from tools.nano.measure_speed import file_size, speed
from tools.nano.table import TABLE
from tools.nano.workers import ModelChoice, Task, in_good_order, judge_all

UNDRAWN = ("shots", "wall", "story", "long")  # rows without a drawn counterpart
ALSO = {"memory": ("drawn", "vae"), "image": ("vae",)}  # what generated rows are compared with
SAVE_EVERY = 30.0  # seconds between interim reports


def tasks_of(rows: list[str], samples: str, seed: int, ceiling: bool) -> list[Task]:
    """What to film for these rows."""
    tasks: list[Task] = []
    for row in rows:
        count = TABLE_COUNTS[row] if samples == "table" else int(samples)
        cases = ROWS[row](count, seed)
        sources = ("drawn", "vae") if ceiling else ("generated", *ALSO.get(row, ()))
        tasks += [(case, source) for case in cases for source in sources if source == "generated" or row not in UNDRAWN]
    return in_good_order(tasks)


def unfilmed(tasks: Sequence[Task], results: Mapping[tuple[str, str], Sequence[Findings]]) -> list[Task]:
    """The tasks of which there are no findings yet."""
    there = {(*key, found["case"]) for key, all_found in results.items() for found in all_found if "case" in found}
    return [(case, source) for case, source in tasks if (case.row, source, case.number) not in there]


def entries_of(results: dict[tuple[str, str], list[Findings]], args: argparse.Namespace) -> list[report.Entry]:
    table = ceiling_lines() if args.ceiling else TABLE
    entries = report.summarise(results, table)
    if args.against:
        entries = report.compare(entries, json.loads(args.against.read_text(encoding="utf-8"))["lines"])
    return entries


def ceiling_lines() -> tuple[Any, ...]:
    """Every line of generated videos, for drawn ones and for those through the VAE instead."""
    return tuple(
        replace(line, source=source, says=f"{line.says} ({says})", low=None, high=None)
        for line in TABLE
        if line.source == "generated" and line.row not in UNDRAWN and not line.against
        for source, says in (("drawn", "drawn"), ("vae", "through the VAE"))
    )


def save(results: dict[tuple[str, str], list[Findings]], args: argparse.Namespace) -> str:
    """Write both reports, where asked for; returns the Markdown one."""
    entries = entries_of(results, args)
    table = report.markdown(entries)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.with_suffix(".md").write_text(table, encoding="utf-8")
        what = {
            name: getattr(args, name) for name in ("model", "variant", "device", "dtype", "settings", "samples", "seed")
        }
        singles = {f"{row} {source}": found for (row, source), found in results.items()}
        content = what | {"lines": entries, "results": singles}
        args.out.with_suffix(".json").write_text(json.dumps(rounded(content)) + "\n", encoding="utf-8")
    return table


def rounded(value: Any) -> Any:
    """Floats at any depth to four decimals."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    return [rounded(entry) for entry in value] if isinstance(value, list | tuple) else value


def joined(reports: Sequence[Path]) -> defaultdict[tuple[str, str], list[Findings]]:
    """The findings of earlier reports in one table."""
    results: defaultdict[tuple[str, str], list[Findings]] = defaultdict(list)
    for path in reports:
        for name, found in json.loads(path.read_text(encoding="utf-8"))["results"].items():
            row, source = name.split()
            results[row, source] += found
    return results


def evaluate(args: argparse.Namespace) -> str:
    """All asked rows; interim reports on the way."""
    rows = list(ROWS) + ["files"] if args.rows == "all" else args.rows.split(",")
    settings = json.loads(args.settings) if args.settings else None
    choice = ModelChoice(args.model, args.variant, args.device, args.dtype, settings)
    results = joined(args.join)
    if "files" in rows and not args.ceiling:
        results["files", "generated"] = file_size(args.model, args.variant)
    if "speed" in rows:
        results["speed", "generated"] = speed(choice.load(), repeats=3, cores=2)
    tasks = tasks_of([row for row in rows if row in ROWS], args.samples, args.seed, args.ceiling)
    tasks = unfilmed(tasks, results)
    began = saved = time.monotonic()
    arriving = judge_all(choice, tasks, args.workers, 60 * args.minutes) if tasks else ()
    for done, ((case, source), found) in enumerate(arriving, start=1):
        results[case.row, source].append(found)
        if time.monotonic() - saved > SAVE_EVERY:
            saved = time.monotonic()
            save(results, args)
            print(f"{done} of {len(tasks)}, {saved - began:.0f} s", flush=True)
    print(f"{len(tasks)} videos in {time.monotonic() - began:.0f} s")
    return save(results, args)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano", help="nano, or a model folder")
    parser.add_argument("--variant", default="auto", help="base or distill, where the folder holds both")
    parser.add_argument("--device", default="cpu", help="cpu or cuda: workers are spread over all GPUs")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or fp8")
    parser.add_argument("--rows", default="single", help=f"all, or some of {', '.join([*ROWS, 'files', 'speed'])}")
    parser.add_argument("--samples", default="20", help="videos per row, or table: the numbers of the published table")
    parser.add_argument("--ceiling", action="store_true", help="score drawn clips instead of generated ones")
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--settings", help='sampling settings as JSON, such as {"steps": 8}')
    parser.add_argument("--workers", type=int, default=max(1, os.cpu_count() or 1))
    parser.add_argument("--minutes", type=float, default=600, help="stop then, with what is done")
    parser.add_argument("--against", type=Path, help="a REPORT.json to compare with, such as the base model's")
    parser.add_argument(
        "--join", type=Path, nargs="*", default=[], help="REPORT.json files to go on from: their videos count"
    )
    parser.add_argument("--out", type=Path, help="path without ending: writes .md and .json")
    print(evaluate(parser.parse_args()))


if __name__ == "__main__":
    main()
