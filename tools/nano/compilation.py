"""`torch.compile` that a long run survives: the first failure switches to eager execution and says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class Compiled:
    """Calls the compiled `function`; if compiling or its first calls fail, the plain one from then on."""

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
            print(f"{self.name}: compiling failed, running eagerly: {type(error).__name__}: {str(error)[:600]}", flush=True)
            self.fast = None
            return self.plain(*args, **kwargs)
        self.calls += 1
        return result
