"""Every attention backend that is installed, at the shapes of a forward: rate and distance from float64.

    python -m benchmarks.attention [--backends sdpa flash_attn sage] [--chunk 12150]

`TFLOP/s` of `queries` chunks on `keys` chunks of the 4.5B model (24 heads on 8 groups of 128), bfloat16, sustained.
`error`: relative L2 distance of 512 rows of queries from a softmax in float64; `from sdpa`: of all rows from sdpa's.
`same`: the same bits when the same rows are computed again, and when other keys lie behind theirs.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import Tensor

from benchmarks.rates import card, median_seconds
from benchmarks.results import keep
from magi_core.attention.choose import get_attention
from magi_core.attention.flash import installed_flash
from magi_core.attention.sdpa import sdpa
from magi_core.attention.spans import Attention

HEADS, GROUPS, SIZE = 24, 8, 128
SHAPES = ((1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (2, 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", default=["sdpa", "flash_attn"] if installed_flash() else ["sdpa"])
    parser.add_argument("--chunk", type=int, default=12_150, help="tokens of a chunk: 5,280 at 352x640")
    options = parser.parse_args()
    rates, rows = card(sdpa), []
    for name in options.backends:
        attention = get_attention(name, "cuda")
        for queries, keys in SHAPES:
            figures = measured(attention, queries, keys, options.chunk)
            kernel = installed_flash() if name == "flash_attn" else name
            rows.append({"backend": kernel, "queries": queries, "keys": keys, **figures})
    keep("attention", {"chunk": options.chunk}, rates, rows)


def measured(attention: Attention, queries: int, keys: int, chunk: int) -> dict[str, Any]:
    generator = torch.Generator("cuda").manual_seed(3)

    def rows(chunks: int, heads: int) -> Tensor:
        return torch.randn(chunks * chunk, heads, SIZE, generator=generator, device="cuda", dtype=torch.bfloat16)

    q, k, v = rows(queries, HEADS), rows(keys + 1, GROUPS), rows(keys + 1, GROUPS)
    spans = [((0, queries * chunk), (0, keys * chunk))]
    out = attention(q, k, v, spans)
    again, shorter = attention(q, k, v, spans), attention(q, k[: keys * chunk], v[: keys * chunk], spans)
    seconds = median_seconds(lambda: [attention(q, k, v, spans) for _ in range(10)]) / 10
    flops = 4 * queries * chunk * keys * chunk * HEADS * SIZE
    some, expected = slice(100, 612), sdpa(q, k, v, spans)
    return {
        "TFLOP/s": round(flops / seconds / 1e12, 1),
        "error": distance(out[some], softmax(q[some], k[: keys * chunk], v[: keys * chunk])),
        "from sdpa": distance(out, expected),
        "same": torch.equal(out, again) and torch.equal(out, shorter),
    }


def softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """In float64, head by head."""
    heads = []
    for head in range(HEADS):
        group = head // (HEADS // GROUPS)
        scores = q[:, head].double() @ k[:, group].double().T / SIZE**0.5
        heads.append(scores.softmax(-1) @ v[:, group].double())
    return torch.stack(heads, dim=1)


def distance(actual: Tensor, expected: Tensor) -> float:
    actual, expected = actual.double(), expected.double()
    return float(f"{((actual - expected).norm() / expected.norm()).item():.2e}")


if __name__ == "__main__":
    main()
