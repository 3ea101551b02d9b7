"""Golden-size models are faster on one thread; results do not depend on it."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
