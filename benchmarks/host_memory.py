"""Bar: host memory does not grow with length beyond the latents of finished chunks (4 bytes a value) + 20 MB.

    python -m benchmarks.host_memory [--model tiny] [--few 20] [--many 1000] [--cache-mb MB]

Streams a take of `few` and one of `many` chunks, each in a process of its own, every chunk decoded and written to an
mp4 as it becomes clean; compares peak resident sizes. On a CPU, K/V pages are host memory too. --cache-mb: budget of
each of the engine's three caches in MB, instead of its defaults. Ratio: growth / allowed growth.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.models import arguments, engine_for, report
from magi_core.state.memory import Memory
from magi_core.video import VideoWriter

MB = 1 << 20
PROMPT = "a big red circle on a white background"


def worker(options: argparse.Namespace) -> None:
    """Stream `options.worker` chunks and print the peak resident bytes."""
    budget = options.cache_mb
    parts = {} if budget is None else {"memory": Memory(*[int(budget * MB)] * 3)}
    engine = engine_for(options, **parts)
    start, chunk_seconds = time.perf_counter(), []
    begun = engine.begin(width=options.size, height=options.size)
    with tempfile.TemporaryDirectory() as folder, VideoWriter(Path(folder) / "take.mp4", 24) as writer:
        for state in engine.stream(begun, PROMPT, options.worker):
            for block in engine.decode(state, start=state.finished - 1):
                writer.write(block)
            chunk_seconds.append(time.perf_counter())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    tenth = max(1, len(chunk_seconds) // 10)
    print(
        json.dumps(
            {
                "peak": peak,
                "seconds": round(time.perf_counter() - start, 1),
                "ms a chunk, first and last tenth": [
                    round((chunk_seconds[tenth] - chunk_seconds[0]) / tenth * 1000, 1),
                    round((chunk_seconds[-1] - chunk_seconds[-1 - tenth]) / tenth * 1000, 1),
                ],
                "pixels": options.size,
                "latent values": state.latents.numel(),
                "caches": {name: stats.bytes for name, stats in engine.memory.stats.items()},
            }
        )
    )


def main() -> None:
    parser = arguments(__doc__, steps=4)
    parser.add_argument("--few", type=int, default=20)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--cache-mb", type=float)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker(options)

    def run(chunks: int) -> dict:
        command = [sys.executable, "-m", "benchmarks.host_memory", *sys.argv[1:], "--worker", str(chunks)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    few, many = run(options.few), run(options.many)
    options.size = few["pixels"]
    allowed = 4 * (many["latent values"] - few["latent values"]) + 20_000_000
    growth = many["peak"] - few["peak"]
    report(
        "host_memory",
        options,
        ratio=growth / allowed,
        bar=1.0,
        chunks=[options.few, options.many],
        growth_mb=round(growth / 1e6, 2),
        allowed_mb=round(allowed / 1e6, 2),
        cache_mb="default" if options.cache_mb is None else options.cache_mb,
        few=few,
        many=many,
    )


if __name__ == "__main__":
    main()
