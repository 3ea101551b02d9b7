"""None: which official models and sizes fit which budgets of a GPU's memory, by what is announced. Needs no GPU.

    python -m benchmarks.fits [--budgets 5 6 8 10 12 16 24]

Distilled, a window of four, a text of 202 tokens, fast forms, 1.23 GB beside for the VAE's weights. For every budget
the blocks that are streamed with K/V pages on the device / with pages streamed, which is what a run chooses where not
all fits; "-" where it is refused. GB of pages and of the whole need stand in front, on the device / streamed.
"""

from __future__ import annotations

import argparse

import torch

from benchmarks.budget import VAE_BYTES
from benchmarks.official import TEXT_TOKENS, official_config
from magi_core.budget import WithinBudget, allowed_bytes
from magi_core.budget.amounts import GB
from magi_core.config import DiTConfig, SamplingSettings
from magi_core.dit import DiT
from magi_core.dit.memory import SamplingMemory, sampling_memory
from magi_core.operations import Streamed
from magi_core.sampling.drafts import pages_held

CASES = (
    ("4.5B", "fp8", 352, 640),
    ("4.5B", "fp8", 720, 720),
    ("4.5B", "fp8", 720, 1280),
    ("4.5B", "bf16", 720, 720),
    ("24B", "fp8", 720, 1280),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budgets", nargs="+", type=float, default=[5, 6, 8, 10, 12, 16, 24])
    options = parser.parse_args()
    columns = ["model", "size", "draft", "pages GB", "need GB", *(f"{budget:g} GB" for budget in options.budgets)]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for size, name, width, height in CASES:
        config = official_config(size, fp8=name == "fp8")
        operations = Streamed()
        dit = DiT(config, operations=operations, device="meta", dtype=torch.bfloat16)
        host = WithinBudget(dit, operations, torch.device("cpu"), 0, VAE_BYTES)
        for draft in ("off", "light"):
            needs = [needed(config, width, height, draft, streamed) for streamed in (False, True)]
            cells = [f"{size} {name}", f"{width}x{height}", draft]
            cells += [in_gb([need.pages for need in needs]), in_gb([need.total for need in needs])]
            cells += [streamed_blocks(host, budget, needs) for budget in options.budgets]
            print(f"| {' | '.join(cells)} |")


def needed(config: DiTConfig, width: int, height: int, draft: str, streamed: bool) -> SamplingMemory:
    settings = SamplingSettings.for_model(config).with_changes(draft=draft)
    return sampling_memory(
        config,
        settings,
        width=width,
        height=height,
        chunks=99,
        itemsize=2,
        fused=True,
        pages=1,
        held=pages_held(settings, config.distill),
        streamed=streamed,
        text_tokens=TEXT_TOKENS,
    )


def in_gb(sizes: list[int]) -> str:
    return " / ".join(f"{size / GB:.2f}" for size in sizes)


def streamed_blocks(host: WithinBudget, budget: float, needs: list[SamplingMemory]) -> str:
    host.allowed = allowed_bytes(budget)
    counts = [str(len(host.streamed_for(n.total))) if n.total <= host.room() else "-" for n in needs]
    return counts[0] if counts[0] == "0" else " / ".join(counts)


if __name__ == "__main__":
    main()
