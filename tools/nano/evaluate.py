"""Score a model folder with the classical analyser: do chunks show what prompts say, does the rest stay?

    python -m tools.nano.evaluate --model nano --rows single --count 100 --out report
    python -m tools.nano.evaluate --model nano --rows single,swap,memory,image,continuation --count 50
    python -m tools.nano.evaluate --ceiling --count 100      # drawn clips, and through the VAE

Videos are made by `magi_core.load(model)`, nothing is injected. Prints Markdown, writes REPORT.md and
REPORT.json with n and the 95% (Wilson) interval of every share.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tools.nano import cases as case_sets
from tools.nano.analyser import action_of, latent_motion_ratio, measure
from tools.nano.cases import Case
from tools.nano.render import background_images, draw, make_sheet, to_uint8
from tools.nano.vocabulary import CHUNK_FRAMES

SIZE = 128
Result = dict[str, Any]
_WORKER: dict[str, Any] = {}


def start_worker(model: str, variant: str, device: str, settings: dict, threads: int) -> None:
    import magi_core

    torch.set_num_threads(threads)
    engine = magi_core.load(model, variant=variant, device=device)
    _WORKER["engine"] = engine.with_settings(**settings) if settings else engine


def drawn_frames(count: int, seed: int, scene: int, frames: int = CHUNK_FRAMES) -> Tensor:
    """The first `frames` frames [T, 128, 128, 3] uint8 of a drawn clip."""
    key = (count, seed)
    if key not in _WORKER:
        _WORKER[key] = make_sheet(case_sets.drawn(count, seed))
    frame = torch.arange(frames)[None]
    return to_uint8(draw(_WORKER[key], background_images(), torch.tensor([scene]), frame))[0]


def run_case(case: Case, count: int, seed: int) -> Result:
    """Make the video of one case and compare it with the truth: attribute -> True/False, and measured
    numbers."""
    engine = _WORKER["engine"]
    start: dict[str, Any] = {}
    drawn_count = 8 * count if case.row == "continuation" else count
    if case.row == "image":
        start["image"] = drawn_frames(drawn_count, seed, case.scene, 1)[0]
    if case.row == "continuation":
        start["video"] = drawn_frames(drawn_count, seed, case.scene)
    began = time.monotonic()
    state = engine.begin(width=SIZE, height=SIZE, seed=case.seed, **start)
    state = engine.extend(state, list(case.prompts), len(case.prompts))
    frames = torch.cat(list(engine.decode(state)))
    seconds = time.monotonic() - began
    if case.row == "continuation":
        given, frames = frames[:CHUNK_FRAMES], frames[CHUNK_FRAMES:]
    result = judge(case, frames)
    result["seconds"] = seconds / len(case.prompts)
    if case.row == "image":
        error = (frames[0].float() - start["image"].float()).square().mean() / 255**2
        result["first_frame_psnr"] = float(-10 * torch.log10(error + 1e-10))
    if case.row == "continuation":
        result |= carried_on(case, given, frames)
    return result


def run_task(task: tuple) -> Result:
    """One case in a worker: `work(case, count, seed)`."""
    work, *arguments = task
    return work(*arguments)


def judge(case: Case, frames: Tensor) -> Result:
    """Per chunk, what the analyser sees against the truth; the last chunk's attributes are the case's."""
    tracks = [measure(chunk) for chunk in frames.split(CHUNK_FRAMES)]
    seen = []
    for track in tracks:
        seen.append(
            {
                "colour": track.colour,
                "shape": track.shape,
                "size": track.size if track.seen else "lost",
                "background": track.background_name,
                "motion": action_of(track),
            }
        )
    result: Result = {name: seen[-1][name] == word for name, word in case.truth[-1].items()}
    if len(tracks) > 1:
        result["motion before"] = seen[-2]["motion"] == case.truth[-2]["motion"]
        result["motion all chunks"] = sum(
            s["motion"] == t["motion"] for s, t in zip(seen, case.truth, strict=True)
        ) / len(seen)
        kept = ("colour", "shape", "size", "background")
        result["all kept"] = all(s[a] == t[a] for s, t in zip(seen[1:], case.truth[1:], strict=True) for a in kept)
        result["seams"] = seam_jumps(torch.cat([track.centre for track in tracks]))
    result["seen"] = seen
    result["truth"] = list(case.truth)
    result["prompts"] = list(case.prompts)
    return result


def seam_jumps(centres: Tensor) -> list[float]:
    """Step across each chunk border over the median step inside the two chunks (steps below half a pixel
    count as that)."""
    steps = centres.diff(dim=0).norm(dim=1)
    jumps = []
    for border in range(CHUNK_FRAMES, len(centres), CHUNK_FRAMES):
        inside = torch.cat([steps[border - CHUNK_FRAMES : border - 1], steps[border : border + CHUNK_FRAMES - 1]])
        jumps.append(float(steps[border - 1] / inside.nanmedian().clamp(min=0.5)))
    return [jump for jump in jumps if math.isfinite(jump)]


def carried_on(case: Case, given: Tensor, frames: Tensor) -> Result:
    """Whether the drawn motion goes on in the same direction with its speed within 20%."""
    before, after = measure(given), measure(frames)
    first = (before.centre[-1] - before.centre[8]) / 15
    speed = (after.centre[15] - after.centre[0]) / 15
    ratio = float((speed * first).sum() / first.square().sum())
    return {
        "same direction": action_of(after) == case.truth[0]["motion"],
        "speed ratio": ratio,
        "speed within 20%": 0.8 <= ratio <= 1.2,
    }


def ceiling_case(case: Case, count: int, seed: int) -> Result:
    """The analyser on the drawn clip, and on the drawn clip through the VAE."""
    frames = drawn_frames(count, seed, case.scene)
    engine = _WORKER["engine"]
    through = torch.cat(list(engine.vae.decode(engine.vae.encode(frames))))
    error = (through.float() - frames.float()).square().mean() / 255**2
    result = {f"drawn {k}": v for k, v in judge(case, frames).items()}
    result |= {f"vae {k}": v for k, v in judge(case, through).items()}
    result["vae psnr"] = float(-10 * torch.log10(error))
    tracks = measure(frames), measure(through)
    result["centres"] = [track.centre.tolist() for track in tracks]
    return result


def wilson(right: float, n: int) -> tuple[float, float]:
    """95% interval of a share."""
    if n == 0:
        return 0.0, 1.0
    z, p = 1.96, right / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def summarise(row: str, results: list[Result]) -> list[Result]:
    """One line per measured name: shares with n and interval, medians and percentiles for numbers."""
    lines = []
    names = dict.fromkeys(name for result in results for name in result)
    for name in names:
        values = [result[name] for result in results if name in result]
        if all(isinstance(v, bool) for v in values):
            low, high = wilson(sum(values), len(values))
            lines.append(line(row, name, sum(values) / len(values), len(values), low=low, high=high))
        elif all(isinstance(v, float) for v in values):
            ordered = sorted(values)
            low, high = (
                ordered[int(0.05 * len(ordered))],
                ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
            )
            lines.append(
                line(row, f"{name} (mean; p5, p95)", sum(values) / len(values), len(values), low=low, high=high)
            )
        elif name == "seams":
            jumps = sorted(jump for value in values for jump in value)
            if jumps:
                p95 = jumps[min(len(jumps) - 1, int(0.95 * len(jumps)))]
                lines.append(
                    line(row, "seam jump (p95; median)", p95, len(jumps), low=jumps[len(jumps) // 2], high=p95)
                )
    motions = [(r["truth"][-1]["motion"], r["seen"][-1]["motion"]) for r in results if "truth" in r and "motion" in r]
    for action in sorted({wanted for wanted, _ in motions}):
        hits = [seen == wanted for wanted, seen in motions if wanted == action]
        low, high = wilson(sum(hits), len(hits))
        lines.append(line(row, f"motion: {action}", sum(hits) / len(hits), len(hits), low=low, high=high))
    if any("centres" in r for r in results):
        drawn_centres, seen_centres = (
            torch.tensor([r["centres"][i] for r in results if "centres" in r]) for i in (0, 1)
        )
        ratio = latent_motion_ratio(seen_centres, drawn_centres)
        lines.append(line(row, "motion inside a latent frame, VAE against drawn", ratio, len(drawn_centres)))
    return lines


def line(row: str, name: str, value: float, n: int, low: float | None = None, high: float | None = None) -> Result:
    rounded = {k: None if v is None else round(v, 4) for k, v in (("value", value), ("low", low), ("high", high))}
    return {"row": row, "measure": name, "n": n} | rounded


def markdown(lines: list[Result]) -> str:
    out = ["| row | measure | value | n | 95% interval |", "|---|---|---|---|---|"]
    for entry in lines:
        interval = "" if entry["low"] is None else f"{entry['low']:.3f} to {entry['high']:.3f}"
        out.append(f"| {entry['row']} | {entry['measure']} | {entry['value']:.3f} | {entry['n']} | {interval} |")
    return "\n".join(out)


def evaluate(args: argparse.Namespace) -> tuple[list[Result], dict[str, list[Result]]]:
    """All asked rows: summary lines and every single result."""
    lines: list[Result] = []
    details: dict[str, list[Result]] = {}
    settings = json.loads(args.settings) if args.settings else {}
    if "guidance" in settings:
        from magi_core.config import Guidance

        settings["guidance"] = Guidance(**{k: tuple(v) for k, v in settings["guidance"].items()})
    prepared = (str(args.model), args.variant, args.device, settings, args.threads)
    context = multiprocessing.get_context("spawn")
    with context.Pool(args.workers, start_worker, prepared) as pool:
        for row in ["ceiling"] if args.ceiling else args.rows.split(","):
            began = time.monotonic()
            chosen = case_sets.ROWS["single" if row == "ceiling" else row](args.count, args.seed)
            work = ceiling_case if row == "ceiling" else run_case
            tasks = [(work, case, args.count, args.seed) for case in chosen]
            details[row] = []
            for done, result in enumerate(pool.imap(run_task, tasks), 1):
                details[row].append(result)
                if done % 20 == 0:
                    print(f"{row}: {done} of {len(tasks)}, {time.monotonic() - began:.0f} s", flush=True)
            lines += summarise(row, details[row])
            print(f"{row}: {len(tasks)} cases in {time.monotonic() - began:.0f} s", flush=True)
    return lines, details


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano", help="nano, or a model folder")
    parser.add_argument("--variant", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rows", default="single", help=f"comma-separated: {', '.join(case_sets.ROWS)}")
    parser.add_argument("--ceiling", action="store_true", help="score drawn clips instead of generated ones")
    parser.add_argument("--count", type=int, default=100, help="cases per row")
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--settings", help='sampling settings as JSON, such as {"steps": 8}')
    parser.add_argument("--workers", type=int, default=max(1, os.cpu_count() or 1))
    parser.add_argument("--threads", type=int, default=1, help="torch threads per worker")
    parser.add_argument("--out", type=Path, help="path without ending: writes .md and .json")
    args = parser.parse_args()
    lines, details = evaluate(args)
    table = markdown(lines)
    print(table)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.with_suffix(".md").write_text(table + "\n")
        report = {"model": str(args.model), "count": args.count, "seed": args.seed, "settings": args.settings}
        args.out.with_suffix(".json").write_text(
            json.dumps(report | {"lines": lines, "results": details}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
