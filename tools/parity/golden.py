"""Golden cases, discovered from the JSON files in `MAGI_GOLDEN_DIR` (default: the copy under `tests/golden`)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from magi_core.config import DiTConfig
from magi_core.dit import DiT

DATA_KINDS = {"weights", "vae_weights", "ablation"}  # inputs and notes, not cases
FORWARD_TOLERANCE = 1e-4
GUIDED_TOLERANCE = 2e-4  # a weighted sum of up to three forwards, with weights up to 7.5
ROLLOUT_TOLERANCE = 3e-4


def golden_dir() -> Path:
    return Path(os.environ.get("MAGI_GOLDEN_DIR") or Path(__file__).parents[2] / "tests" / "golden")


@dataclass(frozen=True, eq=False)
class Case:
    """One JSON file; a file without a `kind` field is its own kind, named like the file."""

    path: Path
    meta: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def kind(self) -> str:
        return self.meta.get("kind") or self.name

    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.path.with_suffix(".safetensors"))

    def __repr__(self) -> str:
        return self.name


@cache
def all_cases() -> tuple[Case, ...]:
    return tuple(Case(path, json.loads(path.read_text())) for path in sorted(golden_dir().glob("*.json")))


def cases(kind: str) -> list[Case]:
    return [case for case in all_cases() if case.kind == kind]


@cache
def golden_dit(weights: str, distill: bool = False) -> DiT:
    """The model of a golden weights file in float32; its configuration is in the JSON beside it."""
    meta = json.loads((golden_dir() / f"{weights}.json").read_text())
    config = DiTConfig.from_official_json(meta["config"] | {"engine_config": {"distill": distill}})
    dit = DiT(config)
    tensors = load_file(golden_dir() / f"{weights}.safetensors")
    dit.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return dit.eval().requires_grad_(False)


def max_error(actual: Tensor, expected: Tensor) -> float:
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    assert torch.isfinite(actual.float()).all()
    return (actual.double() - expected.double()).abs().max().item()
