"""Host memory of a long video: what it takes at most at chunk 1,000 against chunk 20.

One process samples the chunks, each decoded and written to an mp4 as it becomes clean (`magi_core.video.recording`),
and compares the peak of its resident memory over the chunks from 20 to 1,000, closing the file included, with the peak
over the chunks from 10 to 20. Weights are loaded and the pipeline is full by then, so neither hides growth. Allowed
are 4 bytes per value of the latents finished in between (float32, the video itself) and 20 MB. On a CPU, K/V pages are
host memory too; what the engine's caches hold at the end is reported. Ratio: growth / allowed growth.

Resident memory includes what malloc has been given back and keeps for later; `in_use_growth_mb` is without it.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path

from benchmarks.models import arguments, engine_for, report
from benchmarks.resident_memory import ResidentPeak, allocated, resident
from magi_core.state.decode import record
from magi_core.video.recording import VideoRecording

SLACK = 20_000_000
PROMPT = "a big red circle on a white background"


def main() -> None:
    parser = arguments(__doc__, steps=4)
    parser.add_argument("--few", type=int, default=20)
    parser.add_argument("--many", type=int, default=1000)
    options = parser.parse_args()
    engine = engine_for(options)
    begun = engine.begin(width=options.size, height=options.size)
    few, many, used, sizes, times = 0, 0, [], {}, [time.perf_counter()]
    memory = ResidentPeak()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "take.mp4"
        with VideoRecording(path, width=options.size, height=options.size, fps=24) as recording:
            for state in record(engine, engine.stream(begun, PROMPT, options.many), recording):
                done = len(state.chunks)
                times.append(time.perf_counter())
                if done == options.few // 2:
                    memory.reset()
                elif done == options.few:
                    few = memory.bytes
                    memory.reset()
                if done in (options.few, options.many):
                    used.append(allocated())
                if done % max(1, options.many // 10) == 0:
                    sizes[done] = resident()
        many = memory.bytes
        video = path.stat().st_size
    values = (options.many - options.few) * math.prod(begun.latent_shape)
    growth, allowed = many - few, 4 * values + SLACK
    report(
        "host_memory",
        options,
        ratio=growth / allowed,
        bar=1.0,
        chunks=[options.few, options.many],
        growth_mb=_mb(growth),
        allowed_mb=_mb(allowed),
        latents_mb=_mb(4 * values),
        in_use_growth_mb=None if None in used else _mb(used[-1] - used[0]),
        peaks_mb=[_mb(few), _mb(many)],
        peaks_apart="yes" if memory.resets else "no, this system cannot reset them",
        resident_mb={done: None if size is None else _mb(size) for done, size in sizes.items()},
        caches_mb={name: _mb(stats.bytes) for name, stats in engine.cache.stats.items()},
        video_mb=_mb(video),
        fragmented=recording.note or "no",
        ms_a_chunk_first_and_last_tenth=[
            _milliseconds(part) for part in (times[: len(times) // 10], times[-len(times) // 10 :])
        ],
    )


def _mb(count: float) -> float:
    return round(count / 1e6, 2)


def _milliseconds(moments: list[float]) -> float:
    return round((moments[-1] - moments[0]) / max(1, len(moments) - 1) * 1000, 1)


if __name__ == "__main__":
    main()
