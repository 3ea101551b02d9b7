"""Bar: with blocks streamed, a run keeps to a budget of the GPU's memory and costs little more time.

    python -m benchmarks.budget [--cases 0 1 2 3] [--budgets 24] [--rollout] [--pages auto|device|streamed] [--pageable]

Random weights, distilled, no files. For every case forwards of the steady state (five chunks that read a page; six that
make one, wider than any that the engine makes) with all on the device, then with the page streamed from main memory
(`page`), then within each budget: enforced, so that the allocator has the budget less what the driver takes
(`magi_core.budget.amounts`) and no byte more, and with the page where the engine would have it, unless `--pages` says.
`beside GB`: of that, what is held back for the VAE's weights; T5 is off the device. `device GB`: what the whole process
takes there, its context of 0.75 to 0.85 GB included. `host GB`: resident, 2.5 of it PyTorch and CUDA; `pinned GB` is of
weights. `same`: whether the velocity has the same bits. `--budgets` leaves out the others, and the page streamed with
all on the device. `--rollout` makes four chunks at 352x640 through the engine.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.official import TEXT_TOKENS, SteadyForward, official_config, random_dit
from benchmarks.rates import card
from benchmarks.results import keep
from magi_core.attention.choose import get_attention
from magi_core.attention.spans import Attention
from magi_core.budget import WithinBudget, allowed_bytes, without_holes
from magi_core.budget.amounts import GB, OF_THE_DRIVER
from magi_core.cache.engine_cache import EngineCache
from magi_core.cache.page_pool import PagePool
from magi_core.config import DiTConfig, SamplingSettings
from magi_core.dit import DiT, StreamedPages
from magi_core.dit.memory import sampling_memory
from magi_core.engine import Engine
from magi_core.host_memory import Place
from magi_core.operations import Streamed
from magi_core.text.conditioning import PromptEmbedding

VAE_BYTES = 1_230_000_000  # of the official VAE's weights in bfloat16


@dataclass(frozen=True)
class Case:
    size: str
    format: str
    width: int
    height: int
    budgets: tuple[tuple[float, float | None], ...]  # GB, bar of the time against none
    layers: int | None = None
    repeats: tuple[int, int] = (2, 2)  # of forwards of 6 and 5 chunks, after one that does not count


CASES = (
    Case("4.5B", "fp8", 720, 720, ((8, 1.05), (6, 1.05))),
    Case("4.5B", "bf16", 720, 720, ((8, 1.05),)),
    Case("4.5B", "fp8", 352, 640, ((6, None),)),
    Case("24B", "fp8", 720, 1280, ((16, 1.08), (24, 1.04)), repeats=(1, 1)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", type=int, default=list(range(len(CASES))))
    parser.add_argument("--budgets", nargs="+", type=float, help="of a case's, in GB")
    parser.add_argument("--rollout", action="store_true")
    parser.add_argument("--pages", choices=["auto", "device", "streamed"], default="auto")
    parser.add_argument("--pageable", action="store_true", help="from memory that is not page-locked, too")
    options = parser.parse_args()
    attention = get_attention("auto", "cuda")
    rates = card(attention)
    without_holes()
    torch.cuda.empty_cache()
    for number in options.cases:
        case, rows = CASES[number], []
        setting = {"size": case.size, "format": case.format, "pixels": f"{case.width}x{case.height}"}
        if options.budgets:
            case = replace(case, budgets=tuple(pair for pair in case.budgets if pair[0] in options.budgets))
            setting["budgets"] = "+".join(f"{budget:g}" for budget, _ in case.budgets)
        try:
            for row in measured(case, attention, options.pages, options.pageable, whole=not options.budgets):
                print(row, flush=True)
                rows.append(row)
                keep("budget", setting, rates, rows)  # at once: the next may not end well
        except Exception:
            traceback.print_exc()
        gc.collect()
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    if options.rollout:
        try:
            keep("budget", {"what": "rollout"}, rates, [rollout(attention)])
        except Exception:
            traceback.print_exc()


def measured(
    case: Case, attention: Attention, pages: str, pageable: bool, whole: bool = True
) -> Iterator[dict[str, Any]]:
    dit, host = placed(case)
    host.loaded_for(need_of(case, False))
    free = timed(dit, case, attention, False)
    yield {"budget GB": "none", "page": "device", **figures(free, host)}
    if whole:
        yield {"budget GB": "none", "page": "streamed", **compared(timed(dit, case, attention, True), free, host)}
    kinds = [(budget, bar, True) for budget, bar in case.budgets]
    kinds += [(*case.budgets[-1], False)] if pageable and case.budgets else []
    for budget, bar, lock in kinds:
        began = time.perf_counter()
        host.allowed, host.beside, host.lock = allowed_bytes(budget), VAE_BYTES, lock
        if not lock:
            move_back(host)
        streamed = pages == "streamed" or pages == "auto" and not host.fits(need_of(case, False))
        need, page = need_of(case, streamed), "streamed" if streamed else "device"
        row: dict[str, Any] = {"budget GB": budget, "page": page, "from": "locked" if lock else "pageable"}
        try:
            with enforced(budget, host, need):
                row["places s"] = round(time.perf_counter() - began, 1)
                row |= compared(timed(dit, case, attention, streamed, lock), free, host) | {"bar": bar}
        except Exception as error:
            traceback.print_exc()
            row["failed"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        yield row


def move_back(host: WithinBudget) -> None:
    """Everything to the device, so that it leaves it anew."""
    allowed, host.allowed = host.allowed, 10**12
    host.loaded_for(0)
    host.allowed = allowed


@contextmanager
def enforced(budget: float, host: WithinBudget, need: int) -> Iterator[None]:
    """Weights in their places, and no more on the device from then on than the budget."""
    host.loaded_for(need)
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    vae = torch.empty(VAE_BYTES, dtype=torch.uint8, device="cuda")
    torch.cuda.set_per_process_memory_fraction((budget * GB - OF_THE_DRIVER) / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        del vae


def placed(case: Case) -> tuple[DiT, WithinBudget]:
    operations = Streamed()
    dit = random_dit(config_of(case), operations=operations)
    return dit, WithinBudget(dit, operations, torch.device("cuda"), 10**12)


def config_of(case: Case) -> DiTConfig:
    return official_config(case.size, fp8=case.format == "fp8", layers=case.layers)


def need_of(case: Case, streamed: bool) -> int:
    """What is announced of a run, its page on the device or streamed."""
    config = config_of(case)
    return sampling_memory(
        config,
        SamplingSettings.for_model(config),
        width=case.width,
        height=case.height,
        chunks=99,
        itemsize=2,
        fused=True,
        pages=1,
        streamed=streamed,
        text_tokens=TEXT_TOKENS,
    ).total


@dataclass
class Timed:
    seconds: dict[int, float]
    velocity: dict[int, Tensor]
    allocated: int
    reserved: int
    used: int


def timed(dit: DiT, case: Case, attention: Attention, streamed: bool, lock: bool = True) -> Timed:
    """Forwards of six and of five chunks. lock: whether streamed pages lie in page-locked memory."""
    seconds: dict[int, float] = {}
    velocity: dict[int, Tensor] = {}
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    used = 0
    for chunks, repeats in zip((6, 5), case.repeats, strict=True):
        where = pages_in_memory(dit.config.num_layers, lock) if streamed else None
        forward = SteadyForward(chunks, case.width, case.height).of(dit, attention, where)
        took: list[float] = []
        for _ in range(1 + repeats):
            torch.cuda.synchronize()
            began = time.perf_counter()
            made = forward()
            torch.cuda.synchronize()
            took.append(time.perf_counter() - began)
            velocity[chunks] = made[0].cpu()
            del made
        seconds[chunks] = statistics.median(took[1:])
        free, total = torch.cuda.mem_get_info()
        used = max(used, total - free)
        del forward, where
    return Timed(seconds, velocity, torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved(), used)


def pages_in_memory(layers: int, lock: bool) -> StreamedPages:
    if lock:
        return PagePool(torch.device("cuda"), 0).streamed(layers)
    copies = torch.cuda.Stream()
    return StreamedPages(torch.device("cuda"), layers, lambda n: Place(torch.empty(n, dtype=torch.uint8)), copies)


def compared(within: Timed, free: Timed, host: WithinBudget) -> dict[str, Any]:
    """`figures`, beside those with all on the device."""
    ratios = [round(within.seconds[n] / free.seconds[n], 3) for n in (5, 6)]
    same = all(torch.equal(within.velocity[n], free.velocity[n]) for n in (5, 6))
    return figures(within, host) | {"ratio 5, 6": ratios, "same": same}


def figures(of: Timed, host: WithinBudget) -> dict[str, Any]:
    return {
        "streamed": host.streamed,
        "5 chunks s": round(of.seconds[5], 3),
        "6 chunks s": round(of.seconds[6], 3),
        "allocated GB": round(of.allocated / GB, 2),
        "reserved GB": round(of.reserved / GB, 2),
        "device GB": round(of.used / GB, 2),
        "beside GB": round(host.beside / GB, 2),
        "pinned GB": round(host.page_locked / GB, 2),
        "host GB": round(resident() / GB, 2),
    }


def resident() -> int:
    """Bytes of main memory that this process holds."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def rollout(attention: Attention) -> dict[str, Any]:
    """Four chunks through the engine, with all on the device and within 6 GB."""
    case = Case("4.5B", "fp8", 352, 640, ((6, None),))
    dit, host = placed(case)
    prompt = PromptEmbedding("", torch.randn(50, dit.config.caption_channels))
    latents, seconds, row = [], [], {}
    for budget in (None, 6.0):
        allowed = 10**11 if budget is None else allowed_bytes(budget)
        host.allowed, host.beside = allowed, 0 if budget is None else VAE_BYTES
        cache = EngineCache("cuda", device_bytes=0, host_bytes=4 * GB)
        engine = Engine(dit, attention=attention, fingerprint="random", cache=cache, host=host)
        engine = engine.with_settings(steps=8, special_tokens=(), duration_tokens=False)
        begun = engine.begin(width=case.width, height=case.height, seed=1)
        extension = engine.plan(begun, prompt, 4)
        with enforced(budget or 10**3, host, extension.need.total) if budget else gc_only():
            took, began = [], time.perf_counter()
            for state in engine.run(extension):  # noqa: B007  # the last is used
                torch.cuda.synchronize()
                took.append(time.perf_counter() - began)
                began = time.perf_counter()
        latents.append([record.latent for record in state.chunks])
        seconds.append(statistics.median(took[1:]))
        name = "streamed blocks, whether pages are, s per chunk"
        row[f"{budget or 'none'}: {name}"] = [host.streamed, extension.streamed_pages, round(seconds[-1], 2)]
        cache.clear()
    row["ratio"] = round(seconds[1] / seconds[0], 3)
    row["same"] = all(torch.equal(a, b) for a, b in zip(*latents, strict=True))
    print(row, flush=True)
    return row


@contextmanager
def gc_only() -> Iterator[None]:
    gc.collect()
    torch.cuda.empty_cache()
    yield


if __name__ == "__main__":
    main()
