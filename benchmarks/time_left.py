"""Bar: in a real ComfyUI, the time left that is told after the first chunk is off by 20 % at most.

    python -m benchmarks.time_left [--runs 5] [--chunks 8]

On nano and nano-distill, with clips, each run another seed; the first run of each has nothing to go by. How much of the
processor a busy machine gives cannot be told beforehand: "even" is how far off it would be had the rest of the run got
the share that the run had up to then. Ratio: the 95th percentile of that. "wall" is by the clock alone.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.comfy.graphs import RUN, SAMPLER, node
from tools.comfyui.find import find_comfyui
from tools.comfyui.server import Server, base_directory

TICKS = 100  # a second, in /proc
BAR = 0.2


@dataclass(frozen=True)
class Seen:
    """A moment of a run: by the clock, in processor time, and what was told."""

    at: float
    spent: float
    progress: dict[str, Any] | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of each model")
    parser.add_argument("--chunks", type=int, default=8)
    options = parser.parse_args()
    comfyui = find_comfyui()
    if comfyui is None:
        raise SystemExit("no ComfyUI: set COMFYUI_PATH")
    with tempfile.TemporaryDirectory() as folder, Server(comfyui, base_directory(Path(folder) / "base")) as server:
        off = {
            (variant, number): _off(_run(server, variant, number, options.chunks))
            for number in range(options.runs)
            for variant in ("base", "distill")
        }
    even, wall = ([abs(pair[place]) for pair in off.values()] for place in (0, 1))
    report = {"p50_even": _share(even, 0.5), "p50_wall": _share(wall, 0.5), "p95_wall": _share(wall, 0.95)}
    ratio = _share(even, 0.95) / BAR
    told = {f"{variant} {number}": [round(x, 3) for x in pair] for (variant, number), pair in off.items()}
    print(json.dumps({"ratio": round(ratio, 3), "bar": 1.0, "holds": ratio <= 1, **report, "even, wall": told}))


def _run(server: Server, variant: str, number: int, chunks: int) -> list[Seen]:
    """What was told from the first forward on; the last entry is the end."""
    name = f"{variant} {number}"
    extra = {"extra_pnginfo": {"workflow": {"id": name}}}
    body = {"prompt": _graph(variant, 1000 + number, chunks), "client_id": "benchmark", "extra_data": extra}
    prompt = json.loads(server.post("/prompt", body))["prompt_id"]
    seen: list[Seen] = []
    while True:
        found = server.get(f"/magi/desk?workflow={name.replace(' ', '%20')}")["nodes"].get("5")
        running = found is not None and found["status"] == "running"
        if found is not None and (not running or (found["progress"] and found["progress"] != _last(seen))):
            seen.append(Seen(time.monotonic(), _spent(server.process), found["progress"] if running else None))
        if found is not None and not running:
            break
        time.sleep(0.05)
    server.wait_for(prompt, 60)
    return seen


def _off(seen: list[Seen]) -> tuple[float, float]:
    """How far off the first word after the first chunk is, in parts: with an even share of the processor, by the
    clock."""
    *told, end = seen
    first = next(each for each in told if each.progress["done"] >= 1 and each.progress["seconds_left"] is not None)
    left, actual = first.progress["seconds_left"], end.at - first.at
    before = (first.spent - told[0].spent) / (first.at - told[0].at)
    even = (end.spent - first.spent) / before
    return left / even - 1, left / actual - 1


def _last(seen: list[Seen]) -> dict[str, Any] | None:
    return seen[-1].progress if seen else None


def _spent(process: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _share(values: list[float], part: float) -> float:
    """The value below which so many of `values` are."""
    return round(sorted(values)[min(len(values) - 1, int(part * len(values)))], 3)


def _graph(variant: str, seed: int, chunks: int) -> dict[str, Any]:
    nano = {"model": "nano", "dtype": "auto"}
    sampler = SAMPLER | RUN | {"seed": seed, "chunks": chunks, "steps": 4 if variant == "base" else 0}
    return {
        "1": node("MagiLoadModel", **nano, variant=variant, attention="auto"),
        "2": node("MagiLoadVAE", **nano),
        "3": node("MagiLoadTextEncoder", **nano),
        "4": node("MagiStoryboard", text_encoder=["3", 0], text="0: a big red circle moves right", fps=24),
        "5": node("MagiChunkSampler", **sampler, model=["1", 0], conditioning=["4", 0], vae=["2", 0]),
        "6": node("MagiStateInfo", state=["5", 0]),
    }


if __name__ == "__main__":
    main()
