"""Bar: from the request to the return, at most one model forward and 0.2 s; finished chunks are kept.

    python -m benchmarks.cancel [--model tiny] [--chunks 10] [--requests 12]

A timer asks at times spread over a run, each run from an empty memory. Ratio: the longest wait against the longest
forward of the undisturbed run + 0.2 s.
"""

from __future__ import annotations

import threading
import time

import torch

from benchmarks.counting import Counter
from benchmarks.models import arguments, engine_for, report, ten_prompts
from magi_core.state.state import Cancelled


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--chunks", type=int, default=10)
    parser.add_argument("--requests", type=int, default=12)
    options = parser.parse_args()
    engine = engine_for(options)
    counter = Counter(engine.dit)
    prompts = [engine.encode_prompt(prompt) for prompt in ten_prompts()[: options.chunks]]
    begun = engine.begin(width=options.size, height=options.size)
    whole, count = counter.of(lambda: engine.extend(begun, prompts, len(prompts)))
    forward = counter.longest

    waits, kept, all_kept = [], [], True
    for number in range(options.requests):
        engine.cache.clear()
        asked, moment, handed_out = threading.Event(), [], []

        def ask(moment=moment, asked=asked) -> None:
            moment.append(time.perf_counter())
            asked.set()

        timer = threading.Timer(count.seconds * (number + 0.5) / options.requests, ask)
        timer.start()
        try:
            how = {"on_chunk": handed_out.append, "cancelled": asked.is_set}
            engine.extend(begun, prompts, len(prompts), **how)
        except Cancelled as stopped:
            waits.append(time.perf_counter() - moment[0])
            state = stopped.state
            kept.append(len(state.chunks))
            expected = whole.latents[:, :, : state.latents.shape[2]]
            close = not state.chunks or (state.latents - expected).norm() <= 1e-5 * expected.norm()
            same = [record.latent for record in handed_out]
            all_kept &= bool(close) and len(same) == len(state.chunks)
            all_kept &= all(torch.equal(a, b.latent) for a, b in zip(same, state.chunks, strict=True))
        timer.cancel()
        timer.join()
    report(
        "cancel",
        options,
        ratio=max(waits) / (forward + 0.2),
        bar=1.0,
        longest_forward_ms=round(forward * 1000, 2),
        waits_ms=[round(wait * 1000, 2) for wait in waits],
        interrupted=len(waits),
        chunks_kept=kept,
        finished_chunks_kept=all_kept,
    )


if __name__ == "__main__":
    main()
