"""torch.compile for the arithmetic between the transformer's matrix products: norms, gates, rotation, activations.

Only functions of tensors are compiled, and weights are arguments like any other. So one piece of code serves all
layers and all copies of a model, and a host goes on placing, patching and replacing weights as if nothing were
compiled. Matrix products and attention stay with the libraries that are fastest at them.
"""

from __future__ import annotations

import inspect
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from importlib.util import find_spec
from typing import Any

import torch

from magi_core.errors import MagiError, printable

log = logging.getLogger(__name__)

ROUNDED: dict[str, str | int | bool | Callable[..., Any]] = {"emulate_precision_casts": True}
"""Inductor drops roundings to bfloat16 between operations otherwise; two in a hundred fp8 values would be others."""

Axes = Mapping[int, tuple[int, ...]]
"""Position of an argument -> its axes whose lengths change from call to call."""


class Compiler:
    """Runs `fusible` functions through torch.compile; what is compiled serves the whole process.

    backend: of torch.compile. Where it fails, that is logged once and functions run as they are from then on.
    """

    def __init__(self, backend: str | Callable[..., Any] = "inductor") -> None:
        self.backend = backend
        self.failed = False
        self._compiled: dict[Callable[..., Any], Callable[..., Any]] = {}

    def run(self, function: Callable[..., Any], args: Sequence[Any], axes: Axes) -> Any:
        """`function(*args)`, compiled."""
        if self.failed:
            return function(*args)
        try:
            compiled = self._compile(function)
            for position, open_axes in axes.items():
                torch._dynamo.maybe_mark_dynamic(args[position], open_axes)
            return compiled(*args)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            result = function(*args)  # if this fails as well, compiling is not to blame
            self.failed = True
            cause = getattr(error, "inner_exception", error)  # what the backend said, without the advice around it
            reason = f"{type(cause).__name__}: {cause}".splitlines()[0]
            log.warning("MAGI: the model runs without torch.compile, which failed here: %s", printable(reason))
            return result

    def _compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if function not in self._compiled:
            # shapes are fixed but for the marked axes, so that switching models never blurs a kernel's widths
            options = ROUNDED if self.backend == "inductor" else None
            compiled = torch.compile(function, backend=self.backend, dynamic=False, options=options)
            self._compiled[function] = compiled
        return self._compiled[function]


_active: ContextVar[Compiler | None] = ContextVar("magi_compiler", default=None)


@contextmanager
def compiling(compiler: Compiler | None) -> Iterator[None]:
    """Have `compiler` run the fusible functions that are called inside; None runs them as they are."""
    token = _active.set(compiler)
    try:
        yield
    finally:
        _active.reset(token)


def fusible(**axes: tuple[int, ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a function, called by position, of tensors and constants that torch.compile may turn into one kernel.

    axes: for the arguments named, the axes whose lengths depend on the window: tokens or chunks.
    """

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        names = list(inspect.signature(function).parameters)
        positions = {names.index(name): open_axes for name, open_axes in axes.items()}

        @wraps(function)
        def call(*args: Any) -> Any:
            if torch.compiler.is_compiling():  # whoever compiles what is around it gets one graph
                return function(*args)
            compiler = _active.get()
            return function(*args) if compiler is None else compiler.run(function, args, positions)

        return call

    return mark


def check_compilation(device: torch.device | str) -> None:
    """Raise `MagiError` where torch.compile is known to lack what it needs on `device`."""
    kind = torch.device(device).type
    if kind == "cuda" and find_spec("triton") is None:
        raise MagiError(
            "compiling the model needs Triton, which is not installed: pip install triton (on Windows: "
            "triton-windows), or leave compile off"
        )
    if kind == "cpu" and not _cpp_compiler():
        raise MagiError(
            "compiling the model for the CPU needs a C++ compiler: install g++ or clang (on Windows the Visual Studio "
            "Build Tools), or leave compile off"
        )


def _cpp_compiler() -> str | None:
    named = os.environ.get("CXX")
    return next(filter(None, map(shutil.which, [named] if named else ["g++", "clang++", "c++", "cl"])), None)
