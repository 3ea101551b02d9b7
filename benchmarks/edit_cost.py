"""Bars: edit the last of ten prompts and render again; go back to what was rendered before.

    python -m benchmarks.edit_cost [--model tiny|nano] [--chunks 10] [--repeats 3]

Edit: chunk-forwards against the full render <= 0.31 (counted), sampling time <= 0.35. Revert: no forward, <= 50 ms.
Ratio: of chunk-forwards. Times are medians over the repeats, each from an empty memory.
"""

from __future__ import annotations

import statistics

import torch

from benchmarks.counting import Counter
from benchmarks.models import arguments, engine_for, report, ten_prompts

EDIT = "a small green star on a black background"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--chunks", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    engine = engine_for(options)
    prompts = [engine.encode_prompt(prompt) for prompt in ten_prompts()[: options.chunks]]
    edited = [*prompts[:-1], engine.encode_prompt(EDIT)]
    counter = Counter(engine.dit)

    def render(storyboard):
        begun = engine.begin(width=options.size, height=options.size)
        return counter.of(lambda: engine.extend(begun, storyboard, len(storyboard)))

    rounds = []
    for _ in range(options.repeats):
        engine.cache.clear()
        first, full = render(prompts)
        second, edit = render(edited)
        third, revert = render(prompts)
        same = all(torch.equal(a.latent, b.latent) for a, b in zip(first.chunks[:-1], second.chunks, strict=False))
        rounds.append((full, edit, revert, same, torch.equal(first.latents, third.latents)))
    full, edit, revert = (rounds[0][i] for i in range(3))
    time_ratio = statistics.median(r[1].seconds / r[0].seconds for r in rounds)
    revert_ms = statistics.median(r[2].seconds for r in rounds) * 1000
    report(
        "edit_cost",
        options,
        ratio=edit.chunks / full.chunks,
        bar=0.31,
        chunks=options.chunks,
        chunk_forwards={"full": full.chunks, "edit": edit.chunks, "revert": revert.chunks},
        seconds_full=round(full.seconds, 3),
        time_ratio=round(time_ratio, 4),
        time_bar=0.35,
        time_holds=time_ratio <= 0.35,
        revert_forwards=revert.calls,
        revert_ms=round(revert_ms, 2),
        revert_holds=revert.calls == 0 and revert_ms <= 50,
        earlier_chunks_bit_identical=all(r[3] for r in rounds),
        reverted_bit_identical=all(r[4] for r in rounds),
    )


if __name__ == "__main__":
    main()
