"""How far each form of the kernels is from float32 activations: one forward of 4.5B, same weights, same input.

    python -m benchmarks.fast_error [--pixels 352x352]

With random weights rounding grows from block to block, so that two forms differ from each other by about as much as
either does from float32: what counts is that the fast forms are no farther from it than the plain ones. Needs a GPU.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from benchmarks.dit_forward import FORMS
from benchmarks.official import SteadyForward, official_config, random_dit
from benchmarks.rates import card
from benchmarks.results import keep
from magi_core.attention.sdpa import sdpa
from magi_core.dit import DiT
from magi_core.kernels.fused import quantise_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", default="352x352")
    options = parser.parse_args()
    width, height = map(int, options.pixels.split("x"))
    rates, rows, steady = card(sdpa), [], SteadyForward(6, width, height)
    for name in ("fp8", "bf16"):
        half = random_dit(official_config("4.5B", fp8=name == "fp8"))
        exact = DiT(half.config, device="cuda", dtype=torch.float32).requires_grad_(False)
        exact.load_state_dict(half.state_dict())
        truth = steady.of(exact, sdpa)()[0]
        del exact
        for form, context in FORMS.items():
            with context():
                rows.append({"format": name, "form": form, "error": distance(steady.of(half, sdpa)()[0], truth)})
        if name == "bf16":
            error = distance(steady.of(in_fp8(half), sdpa)()[0], truth)
            rows.append({"format": "bf16 brought to fp8 on load", "form": "fast", "error": error})
        del half
    keep("fast_error", {"pixels": options.pixels}, rates, rows)


def in_fp8(half: DiT) -> DiT:
    """A model with the weights of `half` as fp8 on load makes them."""
    rows, state = DiT(half.config, device="cuda", dtype=half.dtype, fp8_rows=True), half.state_dict()
    for name in rows.state_dict().keys() - state.keys():
        weight = name.removesuffix("_scale")
        state[weight], state[name] = quantise_rows(state[weight])
    rows.load_state_dict(state)
    return rows.requires_grad_(False)


def distance(actual: Tensor, expected: Tensor) -> float:
    """Relative L2."""
    return float(f"{((actual - expected).norm() / expected.norm()).item():.3e}")


if __name__ == "__main__":
    main()
