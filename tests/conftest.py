"""Golden-size models are faster on one thread; results do not depend on it. The user's own cache is left alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_cache() -> Iterator[None]:
    """Nothing that tests load is remembered among the user's own models."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAGI_CACHE", os.fspath(folder))
        yield
