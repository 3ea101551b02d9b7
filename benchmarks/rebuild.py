"""Bar: K/V pages that were evicted are made again in one forward, and the continuation is the same (1e-5).

    python -m benchmarks.rebuild [--model tiny] [--chunks 8]

A take is continued from its finished chunks with all pages held, and with every page dropped. Ratio: model calls the
second needs beside those of the first, against 1.
"""

from __future__ import annotations

from benchmarks.counting import Counter
from benchmarks.models import arguments, engine_for, report, ten_prompts


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--chunks", type=int, default=8)
    options = parser.parse_args()
    engine = engine_for(options)
    counter = Counter(engine.dit)
    begun = engine.begin(width=options.size, height=options.size)
    state = engine.extend(begun, [engine.encode_prompt(prompt) for prompt in ten_prompts()[: options.chunks]])
    found = {}
    for handoff in ("clean", "continuous"):
        engine.extend(state, "a small green star", handoff=handoff)  # the last chunk's own page is made here
        engine.cache.chunks.clear()
        engine.cache.frontiers.clear()
        held, with_pages = counter.of(
            lambda handoff=handoff: engine.extend(state, "a small green star", handoff=handoff)
        )
        engine.cache.clear()
        remade, without = counter.of(
            lambda handoff=handoff: engine.extend(state, "a small green star", handoff=handoff)
        )
        error = ((remade.latents - held.latents).norm() / held.latents.norm()).item()
        found[handoff] = {
            "calls": [with_pages.calls, without.calls],
            "more calls": without.calls - with_pages.calls,
            "seconds": [round(with_pages.seconds, 3), round(without.seconds, 3)],
            "relative error": float(f"{error:.1e}"),
        }
    report(
        "rebuild",
        options,
        ratio=max(way["more calls"] for way in found.values()) / 1,
        bar=1.0,
        same=all(way["relative error"] <= 1e-5 for way in found.values()),
        **found,
    )


if __name__ == "__main__":
    main()
