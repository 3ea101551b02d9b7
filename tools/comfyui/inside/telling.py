"""How a process that checks things tells the one that started it what it found, line by line."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Iterable
from typing import Any

MARK = "@@check "
TRIED = "MAGI_CHECKS_TRIED"  # environment: names of checks that an earlier process of this kind has tried
AGAIN = 3  # exit status: this process is of no more use, but another one can go on


def run_checks(checks: Iterable[tuple[str, Callable[[], Any]]], hopeless: Callable[[], bool] = lambda: False) -> int:
    """Run the checks that were not tried before. Exit status: `AGAIN` when one failed and left the process `hopeless`.

    A check that ran out of time leaves it so, and so does an error of CUDA's, after which nothing works.
    """
    tried = set(filter(None, os.environ.get(TRIED, "").split(",")))
    for name, check in checks:
        if name in tried:
            continue
        _tell(name, begin=True)
        try:
            _tell(name, found=check())
        except BaseException as error:
            _tell(name, failed=traceback.format_exc()[-2500:])
            if isinstance(error, TimeoutError) or "CUDA" in str(error) or hopeless():
                return AGAIN
    return 0


def heard(line: str) -> dict[str, Any] | None:
    """What a line of the process's output tells: name, and `begin`, `found` or `failed`."""
    return json.loads(line.removeprefix(MARK)) if line.startswith(MARK) else None


def _tell(name: str, **more: Any) -> None:
    print("\n" + MARK + json.dumps({"name": name} | more), flush=True)
