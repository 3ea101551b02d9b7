"""Bar: in steady state a second pass at strength .5 costs at most .6 of a run, at .25 at most .4 (distilled, 8 steps).

    python -m benchmarks.second_pass_cost [--model tiny|nano-distill]

Chunk-forwards that a longer video takes for each chunk that it is longer, K/V pages counted in. price_is_count: what
the plan says is what the transformer is asked for, at every strength. all_run: largest relative difference from the
same run with every tied chunk in every forward, and how many chunk-forwards that one takes.
"""

from __future__ import annotations

from unittest.mock import patch

import torch

from benchmarks.counting import Counter
from benchmarks.models import SIZES, arguments, report
from magi_core.engine import Engine
from magi_core.loading import load
from magi_core.sampling import cost, window
from magi_core.state import SamplerState
from tools.small_models import tiny_engine

BARS = {0.5: 0.6, 0.25: 0.4}
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHORT, LONG, RUN = 12, 20, 6  # chunks


def given(engine: Engine, size: int, chunks: int) -> SamplerState:
    """A source of random latents."""
    channels = engine.dit.config.latent_channels
    noise = torch.Generator().manual_seed(3)
    latents = torch.randn(1, channels, 6 * chunks, size // 8, size // 8, generator=noise)
    return engine.begin(width=size, height=size, prefix=latents)


def steady(engine: Engine, size: int, strength: float) -> float:
    """Chunk-forwards a chunk."""
    begun, totals = engine.begin(width=size, height=size, seed=1), []
    for chunks in (SHORT, LONG):
        extension = engine.plan(begun, "red", chunks, source=given(engine, size, chunks), strength=strength)
        totals.append(extension.cost.total)
    return (totals[1] - totals[0]) / (LONG - SHORT)


def run(engine: Engine, size: int, strength: float) -> tuple[torch.Tensor, int, int]:
    """Latents of a short second pass, the chunk-forwards that it was to take and those that it took."""
    engine.cache.clear()
    counter, begun = Counter(engine.dit), engine.begin(width=size, height=size, seed=1)
    extension = engine.plan(begun, "red", RUN, source=given(engine, size, RUN), strength=strength)
    (*_, made), count = counter.of(lambda: list(engine.run(extension)))
    return made.latents, extension.cost.total, count.chunks


def whole_run(engine: Engine, size: int, strength: float) -> tuple[torch.Tensor, int, int]:
    """The same with every tied chunk in every forward."""
    cost._stage_cost.cache_clear()
    with patch.object(window, "_needed", tuple):
        whole = run(engine, size, strength)
    cost._stage_cost.cache_clear()
    return whole


def main() -> None:
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(options.threads)
    options.size = options.size or SIZES.get(options.model, 128)
    tiny = options.model == "tiny"
    engine = tiny_engine(True, steps=options.steps) if tiny else load(options.model).with_settings(steps=options.steps)
    costs = {strength: steady(engine, options.size, strength) for strength in STRENGTHS}
    shares = {strength: costs[strength] / costs[1.0] for strength in STRENGTHS}
    runs = {strength: run(engine, options.size, strength) for strength in STRENGTHS}
    wholes = {strength: whole_run(engine, options.size, strength) for strength in BARS}
    apart = [float((runs[s][0] - whole).norm() / whole.norm()) for s, (whole, _, _) in wholes.items()]
    report(
        "second_pass_cost",
        options,
        ratio=shares[0.5],
        bar=BARS[0.5],
        shares={f"{strength:g}": round(share, 4) for strength, share in shares.items()},
        quarter_holds=shares[0.25] <= BARS[0.25],
        price_is_count=all(planned == taken for _, planned, taken in runs.values()),
        taken={f"{strength:g}": taken for strength, (_, _, taken) in runs.items()},
        all_run={f"{strength:g}": taken for strength, (_, _, taken) in wholes.items()},
        apart=max(apart),
        same_result=max(apart) < 1e-5,
    )


if __name__ == "__main__":
    main()
