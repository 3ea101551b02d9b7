"""What drafts save and what they cost: chunk-forwards and seconds against likeness and attributes, side by side.

    python -m benchmarks.drafts --model nano-distill [--videos 12] [--chunks 4]
    python -m benchmarks.drafts --model nano --videos 12

The same prompts and seeds are made in full, as drafts, and in full with half the steps, which costs what a strong draft
costs. forwards, seconds: shares of the full run's (seconds of the processor in the sampling, decoding aside). psnr: of
the decoded frames against the full run's, in dB, mean over videos. right: share of named attributes (colour, shape,
size, background, motion) that the analyser sees in a chunk; lost: how many points fewer than in the full run, paired.
All with 95% intervals over videos. Prints rows of a table, and JSON with every video's figures.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.counting import Counter
from magi_core.cache.engine_cache import EngineCache
from magi_core.config import DRAFTS
from magi_core.engine import Engine
from magi_core.loading import load
from tools.nano.intervals import bootstrap
from tools.nano.judging import decibels, look
from tools.nano.second_cases import SecondCase, drafted
from tools.nano.vocabulary import SIZE

ATTRIBUTES = ("colour", "shape", "size", "background", "motion")


@dataclass(frozen=True, eq=False)
class Film:
    frames: Tensor
    right: float
    forwards: int
    seconds: float


def film(engine: Engine, counter: Counter, case: SecondCase) -> Film:
    """One case from an empty cache."""
    engine = engine.copy(cache=EngineCache(engine.dit.device))
    counter.taken()
    began = time.process_time()
    state = engine.extend(engine.begin(width=SIZE, height=SIZE, seed=case.seed), case.chunks)
    seconds, forwards = time.process_time() - began, counter.taken().chunks
    frames = torch.cat(list(engine.decode(state)))
    _, seen = look(frames)
    chunks = zip(seen, case.truth, strict=True)
    named = [words[name] == want[name] for words, want in chunks for name in ATTRIBUTES if name in want]
    return Film(frames, sum(named) / len(named), forwards, seconds)


def interval(values: Sequence[float], digits: int = 3) -> list[float]:
    """Mean and its 95% interval."""
    mean = lambda some: sum(some) / len(some)  # noqa: E731
    return [round(x, digits) for x in (mean(values), *bootstrap(mean, values))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano-distill")
    parser.add_argument("--videos", type=int, default=12)
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    engine = load(options.model, device=options.device)
    counter, cases = Counter(engine.dit), drafted(options.videos, 11, options.chunks)
    steps = engine.settings.steps
    ways = {"full": {}, f"{steps // 2} steps": {"steps": steps // 2}, **{name: {"draft": name} for name in DRAFTS}}
    films: dict[str, list[Film]] = {name: [] for name in ways}
    for case in cases:
        for name, changes in ways.items():
            films[name].append(film(engine.with_settings(**changes), counter, case))
    full = films["full"]
    print("| | chunk-forwards | seconds | PSNR to full | attributes right | points lost |\n|---|---|---|---|---|---|")
    for name, made in films.items():
        pairs = list(zip(made, full, strict=True))
        row = {
            "way": name,
            "forwards": round(sum(one.forwards for one in made) / sum(one.forwards for one in full), 3),
            "seconds": interval([one.seconds / other.seconds for one, other in pairs]),
            "psnr": interval([decibels(one.frames, other.frames) for one, other in pairs], 1),
            "right": interval([100 * one.right for one in made], 1),
            "lost": interval([100 * (other.right - one.right) for one, other in pairs], 1),
        }
        cells = [f"{row[key][0]} ({row[key][1]} to {row[key][2]})" for key in ("seconds", "psnr", "right", "lost")]
        print(f"| {name} | {row['forwards']} | {' | '.join(cells)} |")
        print(json.dumps({"benchmark": "drafts", "model": options.model, "videos": len(made)} | row), flush=True)


if __name__ == "__main__":
    main()
