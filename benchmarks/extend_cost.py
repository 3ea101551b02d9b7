"""What one extend of 1, 2, 4 and 8 chunks costs in each of the three ways, in chunk-forwards.

    python -m benchmarks.extend_cost [--steps 8]

Counted by `Engine.plan`, the same for every model of a kind; tests compare it with what is run. In
flight: extends of the same size before it were left undrained, so that each costs what its chunks cost. No bar; ratio:
continuous against clean for one chunk of a distilled model.
"""

from __future__ import annotations

from typing import Any

from benchmarks.models import arguments, report
from magi_core.engine import Engine
from magi_core.state import SamplerState
from tools.small_models import tiny_engine

COUNTS = (1, 2, 4, 8)


def costs(engine: Engine, state: SamplerState) -> dict[str, list[int]]:
    full = engine.extend(state, "red", engine.settings.window, drain=False)
    return {
        "clean": [steps(engine, state, n) for n in COUNTS],
        "continuous": [steps(engine, state, n, handoff="continuous") for n in COUNTS],
        "in flight": [steps(engine, full, n, drain=False) for n in COUNTS],
    }


def steps(engine: Engine, state: SamplerState, chunks: int, **way: Any) -> int:
    """Of chunks that nobody remembers, K/V pages aside."""
    return engine.plan(state, "another prompt", chunks, **way).cost.steps


def main() -> None:
    options = arguments(__doc__, size=32).parse_args()
    table = {}
    for kind, distill in (("base", False), ("distilled", True)):
        engine = tiny_engine(distill, steps=options.steps)
        state = engine.begin(width=32, height=32)
        table[kind] = costs(engine, engine.extend(state, ["red"] * 6))
    ratio = table["distilled"]["continuous"][0] / table["distilled"]["clean"][0]
    report("extend_cost", options, ratio=ratio, bar=None, chunks=COUNTS, **table)


if __name__ == "__main__":
    main()
