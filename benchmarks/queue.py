"""The measurements of a GPU one after the other, as far as the time allows.

    python -m benchmarks.queue SECONDS [--out output/queue] [--only memory budgets] [--list]

Each is started only where its estimate (on an H100) fits into what is left, and ended when it takes far longer. OUT
receives figures/*.json (what `benchmarks/results` keeps), logs/*.log and done.txt; what is in done.txt with 0 is not
run again, so a queue that was broken off goes on. FlashAttention-4 is used where it can be imported; what needs
SageAttention is left out where it cannot. COMMIT tells the commit where there is no git.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from magi_core.attention.sage import installed_sage

PATIENCE = 1.7  # times the estimate


@dataclass(frozen=True)
class Measurement:
    """seconds: an estimate, all of the process counted. needs: "sage", or nothing."""

    name: str
    seconds: float
    arguments: str
    needs: str = ""


MEASUREMENTS = (
    Measurement("memory", 80, "memory"),
    Measurement("budgets", 90, "budget --cases 0"),
    Measurement("rate-352-behind", 85, "chunk_rate --format fp8 --pixels 352x640 --chunks 30 --behind"),
    Measurement("rate-352", 80, "chunk_rate --format fp8 --pixels 352x640 --chunks 30"),
    Measurement("rate-bf16", 85, "chunk_rate --format bf16 --pixels 720x720 --chunks 13"),
    Measurement("rate-fp8", 80, "chunk_rate --format fp8 --pixels 720x720 --chunks 13"),
    Measurement("forward", 60, "dit_forward"),
    Measurement("forward-24B", 50, "dit_forward --size 24B --layers 12 --formats fp8 --chunks 5 --pixels 720x1280"),
    Measurement(
        "forward-24B-sage",
        50,
        "dit_forward --size 24B --layers 12 --formats fp8 --chunks 5 --pixels 720x1280 --attention sage",
        "sage",
    ),
    Measurement("memory-sage", 70, "memory --attention sage", "sage"),
    Measurement("base-step", 80, "base_step"),
    Measurement("offload", 80, "offload --layers 12"),
    Measurement("vae", 40, "vae"),
    Measurement("24B-in-24GB", 320, "budget --cases 3 --budgets 24 --pageable"),
    Measurement("growth", 880, "growth --model 4.5B --layers 12 --pixels 480x480 --chunks 1000 --seconds 840"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--out", type=Path, default=Path("output/queue"))
    parser.add_argument("--only", nargs="+", choices=[each.name for each in MEASUREMENTS])
    parser.add_argument("--list", action="store_true", help="what would be run, with estimates")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    asked = wanted(options.only, finished(options.out))
    if options.list:
        print("\n".join(f"{each.name}: {each.seconds:g} s, benchmarks.{each.arguments}" for each in asked))
        return
    (options.out / "logs").mkdir(parents=True, exist_ok=True)
    for each in asked:
        left = end - time.monotonic()
        if each.seconds <= left:
            told(options.out, each, *run(each, options.out, min(PATIENCE * each.seconds, left)))
        else:
            print(f"{each.name}: {left:.0f} s are left, it takes {each.seconds:g}", flush=True)


def wanted(only: list[str] | None, done: set[str]) -> list[Measurement]:
    """What is asked for, is not done yet, and has the packages that it needs."""
    there = {"": True, "sage": installed_sage()}
    return [
        each for each in MEASUREMENTS if there[each.needs] and each.name not in done and (not only or each.name in only)
    ]


def finished(out: Path) -> set[str]:
    """Names in done.txt whose process ended with 0."""
    file = out / "done.txt"
    rows = [line.split("\t") for line in file.read_text().splitlines()] if file.exists() else []
    return {row[0] for row in rows if row[1] == "0"}


def run(each: Measurement, out: Path, limit: float) -> tuple[str, float]:
    """How its process ended, an exit status or "too long", and the seconds that it took."""
    began = time.monotonic()
    command = [sys.executable, "-m", *f"benchmarks.{each.arguments}".split()]
    places = {"FIGURES": str(out / "figures")}
    with (out / "logs" / f"{each.name}.log").open("w") as log:
        try:
            done = subprocess.run(command, env=os.environ | places, stdout=log, stderr=log, timeout=limit)
            status = str(done.returncode)
        except subprocess.TimeoutExpired:
            status = "too long"
    return status, time.monotonic() - began


def told(out: Path, each: Measurement, status: str, seconds: float) -> None:
    with (out / "done.txt").open("a") as file:
        file.write(f"{each.name}\t{status}\t{seconds:.0f}\n")
    print(f"{each.name}: {status}, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
