"""Fast forms of functions between matrix products, taken without being asked where they can run.

`magi_core.kernels.triton_forms` has a function of the same name and arguments for each. Which form runs depends on the
device and the tensors alone, so that a run's bits do not depend on timing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from magi_core.errors import printable

log = logging.getLogger(__name__)

_allowed: ContextVar[bool] = ContextVar("magi_fast_forms", default=True)
_failed: set[str] = set()


@contextmanager
def plain_forms() -> Iterator[None]:
    """Have the plain form of every function run inside: what a fast form is compared with."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


def has_fast_forms(device: torch.device) -> bool:
    """Whether bfloat16 tensors on `device` go through fast forms."""
    return device.type == "cuda" and _allowed.get() and not _failed and _triton_is_here()


def with_fast_form(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function, called by position, whose fast form has its name. Its first argument decides.

    A form that fails to build is left alone from then on, which is logged once.
    """
    name = function.__name__

    @wraps(function)
    def call(*args: Any) -> Any:
        if torch.compiler.is_compiling() or name in _failed or not _fits(args):
            return function(*args)
        try:
            with torch.cuda.device(args[0].device):
                return _fast_form(name)(*args)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            result = function(*args)  # if this fails as well, the fast form is not to blame
            _failed.add(name)
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            log.warning("MAGI: %s runs in its plain form, its fast one failed here: %s", name, printable(reason))
            return result

    return call


@cache
def _fast_form(name: str) -> Callable[..., Any]:
    return getattr(import_module("magi_core.kernels.triton_forms"), name)


def _fits(args: tuple[Any, ...]) -> bool:
    first = args[0]
    if not (first.is_cuda and first.dtype == torch.bfloat16 and _allowed.get() and _triton_is_here()):
        return False
    return not torch.is_grad_enabled() and all(a.is_contiguous() for a in args if isinstance(a, Tensor))


@cache
def _triton_is_here() -> bool:
    return find_spec("triton") is not None
