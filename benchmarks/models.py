"""What the benchmarks sample with, and how they report."""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch

from magi_core.engine import Engine
from magi_core.loading import load
from tools.small_models import tiny_engine

SIZES = {"tiny": 32}  # pixels along both sides; bundled models: 128


def arguments(description: str, **defaults: Any) -> argparse.ArgumentParser:
    """Options every benchmark has; `defaults` replace theirs."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="tiny (random weights), a bundled model or a folder")
    parser.add_argument("--steps", type=int, default=8, help="Euler steps per chunk")
    parser.add_argument("--size", type=int, help="pixels along both sides")
    parser.add_argument("--threads", type=int, default=1)
    parser.set_defaults(**defaults)
    return parser


def engine_for(options: argparse.Namespace, **parts: Any) -> Engine:
    """The engine the options ask for; `options.size` is filled in."""
    torch.set_num_threads(options.threads)
    options.size = options.size or SIZES.get(options.model, 128)
    if options.model == "tiny":
        return tiny_engine(steps=options.steps).copy(fingerprint="tiny", **parts)
    return load(options.model).with_settings(steps=options.steps).copy(**parts)


def ten_prompts() -> list[str]:
    """Ten different prompts of few words, in the vocabulary of the bundled model."""
    colours = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "red", "blue")
    shapes = ("circle", "square", "triangle", "star", "circle", "square", "triangle", "star", "square", "star")
    return [f"a big {colour} {shape} on a white background" for colour, shape in zip(colours, shapes, strict=True)]


def report(name: str, options: argparse.Namespace, *, ratio: float, bar: float | None, **figures: Any) -> None:
    """Print one JSON object; `holds`: the ratio is within the bar, if any, and every figure that is a bool is true."""
    ok = (bar is None or ratio <= bar) and all(value for value in figures.values() if isinstance(value, bool))
    setting = {"model": options.model, "steps": options.steps, "pixels": options.size, "threads": options.threads}
    print(json.dumps({"benchmark": name, **setting, "ratio": round(ratio, 4), "bar": bar, "holds": ok, **figures}))
