"""`torch.compile` that a long run survives: what fails to compile is replaced by the next best, and says
so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch

Choice = TypeVar("Choice")


class Compiled:
    """Calls the compiled `function`; if compiling or its first call fails, the plain one from then on."""

    def __init__(self, function: Callable, name: str, enabled: bool = True) -> None:
        self.plain, self.name, self.calls = function, name, 0
        self.fast = torch.compile(function, dynamic=False) if enabled else None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fast is None:
            return self.plain(*args, **kwargs)
        try:
            result = self.fast(*args, **kwargs)
        except Exception as error:
            if self.calls:
                raise
            report(f"compiling {self.name}", error)
            self.fast = None
            return self.plain(*args, **kwargs)
        self.calls += 1
        return result


def first_that_works(choices: Iterable[tuple[str, Choice]], trial: Callable[[Choice], None]) -> tuple[str, Choice]:
    """The first (name, choice) for which `trial` raises nothing; the last one's error is passed on."""
    choices = list(choices)
    for name, choice in choices[:-1]:
        try:
            trial(choice)
        except Exception as error:
            report(name, error)
        else:
            return name, choice
    trial(choices[-1][1])
    return choices[-1]


def report(what: str, error: Exception) -> None:
    print(f"{what} failed: {type(error).__name__}: {str(error)[:600]}", flush=True)
