"""What the card of this run can do at its best: figures are read against these."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from torch import Tensor

from magi_core.attention.spans import Attention

MATMUL = 790e12  # what the bars of the forward assume
ROWS = 12_150  # tokens of one chunk at 720x720


def median_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Of work on the current GPU, after one run that does not count."""
    work()
    times = []
    for _ in range(repeats):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        stop.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(stop) / 1000)
    return statistics.median(times)


def matmul_rate(side: int = 8192) -> float:
    """FLOP/s of a bfloat16 product of two square matrices, sustained."""
    a, b = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 20 * 2 * side**3 / median_seconds(lambda: [a @ b for _ in range(20)])


def attention_rate(attention: Attention, heads: int = 24, groups: int = 8, size: int = 128) -> float:
    """FLOP/s of one chunk of queries on four of keys, sustained."""

    def rows(chunks: int, heads: int) -> Tensor:
        return torch.randn(chunks * ROWS, heads, size, device="cuda", dtype=torch.bfloat16)

    q, k, v = rows(1, heads), rows(4, groups), rows(4, groups)
    spans = [((0, ROWS), (0, 4 * ROWS))]
    return (
        10 * 4 * ROWS * 4 * ROWS * heads * size / median_seconds(lambda: [attention(q, k, v, spans) for _ in range(10)])
    )


def copy_rate(nbytes: int = 1 << 30) -> float:
    """Bytes/s read and written by a copy on the device."""
    a = torch.randint(256, (nbytes,), device="cuda", dtype=torch.uint8)
    b = torch.empty_like(a)
    return 2 * nbytes / median_seconds(lambda: b.copy_(a))


def host_rate(nbytes: int = 1 << 30) -> float:
    """Bytes/s from the device to page-locked memory."""
    a = torch.randint(256, (nbytes,), device="cuda", dtype=torch.uint8)
    b = torch.empty(nbytes, dtype=torch.uint8, pin_memory=True)
    return nbytes / median_seconds(lambda: b.copy_(a, non_blocking=True))


def card(attention: Attention) -> dict[str, object]:
    """The card and its rates, in TFLOP/s and GB/s."""
    return {
        "card": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "matmul": round(matmul_rate() / 1e12, 1),
        "attention": round(attention_rate(attention) / 1e12, 1),
        "copy": round(copy_rate() / 1e9),
        "to host": round(host_rate() / 1e9, 1),
    }
