"""The golden model's weights, alone and in the official layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.unit.weights.checkpoints import golden_weights, write_sharded


@pytest.fixture(scope="session")
def weights() -> dict[str, torch.Tensor]:
    return golden_weights("A")


@pytest.fixture
def sharded(tmp_path: Path, weights: dict[str, torch.Tensor]) -> Path:
    return write_sharded(weights, tmp_path / "4.5B_base" / "inference_weight")
