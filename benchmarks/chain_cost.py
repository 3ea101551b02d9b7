"""Bar: a chain of ten one-chunk extends with `drain=False` costs what one run of ten chunks costs.

    python -m benchmarks.chain_cost [--model tiny] [--chunks 10]

Ratio: chunk-forwards of the chain, its final draining included, against one run; both from an empty memory. The other
two ways to chain are counted as well.
"""

from __future__ import annotations

from benchmarks.counting import Counter
from benchmarks.models import arguments, engine_for, report, ten_prompts

WAYS = {"undrained": {"drain": False}, "continuous": {"handoff": "continuous"}, "clean": {"handoff": "clean"}}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--chunks", type=int, default=10)
    options = parser.parse_args()
    engine = engine_for(options)
    counter = Counter(engine.dit)
    prompts = [engine.encode_prompt(prompt) for prompt in ten_prompts()[: options.chunks]]

    def chain(**way):
        state = engine.begin(width=options.size, height=options.size)
        for prompt in prompts:
            state = engine.extend(state, prompt, **way)
        return engine.drain(state)

    begun = engine.begin(width=options.size, height=options.size)
    whole, once = counter.of(lambda: engine.extend(begun, prompts, len(prompts)))
    counts, errors = {}, {}
    for name, way in WAYS.items():
        engine.cache.clear()
        chained, count = counter.of(lambda way=way: chain(**way))
        counts[name] = count.chunks
        errors[name] = float(f"{((chained.latents - whole.latents).norm() / whole.latents.norm()).item():.2e}")
    report(
        "chain_cost",
        options,
        ratio=counts["undrained"] / once.chunks,
        bar=1.05,
        chunks=options.chunks,
        one_run=once.chunks,
        chain=counts,
        relative_error=errors,
        same_video=max(errors["undrained"], errors["continuous"]) < 1e-4,
    )


if __name__ == "__main__":
    main()
