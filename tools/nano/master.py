"""Mixed-precision training state: one flat float32 master copy of all weights, its optimiser, and a moving
average.

The modules hold the weights in the precision they run in (bfloat16 with float32 islands); every step copies
their gradients into flat float32 memory, updates there, and copies the result back: a handful of kernels
whatever the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Master:
    """Flat float32 weights of several named parameters, updated by AdamW, with an exponential moving average.

    parameters: (name, parameter) pairs. decays: names with weight decay (others get none).
    """

    def __init__(
        self,
        parameters: Iterable[tuple[str, nn.Parameter]],
        *,
        decay: float,
        betas: tuple[float, float],
        ema: float,
        clip: float,
    ) -> None:
        pairs = list(parameters)
        ordered = [p for p in pairs if p[1].ndim >= 2] + [p for p in pairs if p[1].ndim < 2]
        self.names = [name for name, _ in ordered]
        self.parameters = [parameter for _, parameter in ordered]
        matrices = sum(p.numel() for p in self.parameters if p.ndim >= 2)
        device = self.parameters[0].device
        self.weights = torch.cat([p.detach().float().flatten() for p in self.parameters]).to(device)
        self.average = self.weights.clone()
        self.gradient = torch.zeros_like(self.weights)
        self.ema, self.clip, self.steps = ema, clip, 0
        halves = []
        for part, weight_decay in ((slice(0, matrices), decay), (slice(matrices, None), 0.0)):
            flat = nn.Parameter(self.weights[part])
            flat.grad = self.gradient[part]
            halves.append({"params": [flat], "weight_decay": weight_decay})
        self.optimiser = torch.optim.AdamW(halves, lr=1e-3, betas=betas, fused=device.type == "cuda")
        self.gradient_views = self._views(self.gradient)
        self.weight_views = self._views(self.weights)

    def _views(self, flat: Tensor) -> list[Tensor]:
        pieces = flat.split([p.numel() for p in self.parameters])
        return [piece.view(p.shape) for piece, p in zip(pieces, self.parameters, strict=True)]

    @torch.no_grad()
    def step(self, learning_rate: float) -> Tensor:
        """Apply the gradients that the last backward left in the parameters; returns their norm (on the
        device)."""
        missing = [view for view, p in zip(self.gradient_views, self.parameters, strict=True) if p.grad is None]
        torch._foreach_zero_(missing) if missing else None
        there = [(v, p.grad) for v, p in zip(self.gradient_views, self.parameters, strict=True) if p.grad is not None]
        torch._foreach_copy_([v for v, _ in there], [g for _, g in there])
        for p in self.parameters:
            p.grad = None
        if dist.is_initialized():
            dist.all_reduce(self.gradient)
            self.gradient /= dist.get_world_size()
        norm = self.gradient.norm()
        # A non-finite gradient must not poison the moments: it becomes a step of zero.
        scale = torch.where(norm.isfinite(), (self.clip / (norm + 1e-6)).clamp(max=1.0), torch.zeros_like(norm))
        self.gradient.nan_to_num_(0.0, 0.0, 0.0).mul_(scale)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.optimiser.step()
        self.steps += 1
        decay = min(self.ema, self.steps / (self.steps + 10.0))
        self.average.lerp_(self.weights, 1 - decay)
        torch._foreach_copy_(self.parameters, self.weight_views)
        return norm

    @torch.no_grad()
    def average_into(self, module: nn.Module, prefix: str) -> None:
        """Put the moving averages of the parameters whose names begin with `prefix` into another module of that
        kind."""
        there = {prefix + name: parameter for name, parameter in module.named_parameters()}
        pairs = [(there[n], v) for n, v in zip(self.names, self._views(self.average), strict=True) if n in there]
        torch._foreach_copy_([parameter for parameter, _ in pairs], [view for _, view in pairs])

    def averaged(self) -> dict[str, Tensor]:
        """The moving averages by parameter name, float32."""
        return dict(zip(self.names, (v.clone() for v in self._views(self.average)), strict=True))

    def current(self) -> dict[str, Tensor]:
        """The weights by parameter name, float32."""
        return dict(zip(self.names, (v.clone() for v in self.weight_views), strict=True))

    @torch.no_grad()
    def go_on_from(self, weights: Mapping[str, Tensor]) -> None:
        """Train on from these weights by name; the moving average stays what it is, and moves as slowly as ever."""
        for name, view in zip(self.names, self.weight_views, strict=True):
            if name in weights and weights[name].shape == view.shape:
                view.copy_(weights[name])
        self.steps = round(10 / (1 - self.ema))
        self.restore()

    @torch.no_grad()
    def load_averaged(self) -> None:
        """Put the moving average into the modules (training can go on: the next step restores the
        weights)."""
        torch._foreach_copy_(self.parameters, self._views(self.average))

    @torch.no_grad()
    def restore(self) -> None:
        """Put the current weights back into the modules."""
        torch._foreach_copy_(self.parameters, self.weight_views)
