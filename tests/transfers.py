"""Watches what a computation brings to its device, on the `meta` device: no GPU is needed, and nothing is computed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
MAKERS = (torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy, Tensor.new_tensor)


class Transfers(TorchDispatchMode):
    """Within this context, counts the operators on `meta` that are more than a view, and what brings numbers there from
    the host: each would have a GPU wait for the processor."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self._made = _Made(self.sent)

    def __enter__(self) -> Transfers:
        self._made.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._made.__exit__(*raised)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        if "meta" in _devices(out) and not _is_view(function):
            self.operators[str(function)] += 1
            if function in COPIES and "cpu" in _devices((args, kwargs)):
                self.sent[str(function)] += 1
        return out


class _Made(TorchFunctionMode):
    """Counts tensors on `meta` that are made of Python's numbers, which no operator tells."""

    def __init__(self, sent: Counter[str]) -> None:
        self.sent = sent

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        if function in MAKERS and out.device.type == "meta" and out is not args[0]:
            self.sent[function.__name__] += 1
        return out


def _devices(tree: Any) -> set[str]:
    return {leaf.device.type for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)}


def _is_view(function: Any) -> bool:
    returned = [one.alias_info for one in function._schema.returns]
    return bool(returned) and all(alias is not None and not alias.is_write for alias in returned)
