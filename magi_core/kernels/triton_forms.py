"""Fast forms in Triton: one pass over what moves. Each does what the function of its name in `fused` does, and rounds
where that rounds; sums are in another order. Tensors are contiguous and on one CUDA device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from magi_core.kernels.fused import Scale

FP8_MAX = tl.constexpr(448.0)
STANDARDISE_EPS = tl.constexpr(1e-5)
SQRT_HALF = tl.constexpr(0.7071067811865476)
COLUMNS = 1024  # of one program of an elementwise kernel
FP8 = torch.float8_e4m3fn


@triton.jit
def _to_fp8(x, scale, inverse):
    """`x / scale`, rounded as a division is: its remainder, which is exact, corrects the product with the inverse."""
    near = x * inverse
    scaled = tl.where(near == 0.0, near, tl.fma(tl.fma(-near, scale, x), inverse, near))  # or a zero lost its sign
    scaled = tl.clamp(scaled, -FP8_MAX, FP8_MAX, propagate_nan=tl.PropagateNan.ALL)
    return scaled.to(tl.bfloat16).to(tl.float8e4nv)


@triton.jit
def _normalised(x, inside, width, eps):
    """Rows of `x` (0 where not `inside`) less their mean, over their deviation."""
    centred = tl.where(inside, x - (tl.sum(x, 1) / width)[:, None], 0.0)
    return centred * tl.rsqrt(tl.sum(centred * centred, 1) / width + eps)[:, None]


@triton.jit
def _norm_kernel(
    x, weight, bias, scale, inverse, other_scale, other_inverse, out, other_out, rows, eps,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, PLUS_ONE: tl.constexpr, SCALES: tl.constexpr,
):  # fmt: skip
    row, column = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, BLOCK)
    real = column < WIDTH
    inside, at = (row < rows)[:, None] & real[None, :], row[:, None] * WIDTH + column[None, :]
    gain = tl.load(weight + column, mask=real, other=0.0)
    if PLUS_ONE:
        gain = (gain.to(tl.float32) + 1.0).to(gain.dtype)
    shift = tl.load(bias + column, mask=real, other=0.0).to(tl.float32)
    values = _normalised(tl.load(x + at, mask=inside, other=0.0).to(tl.float32), inside, WIDTH, eps)
    values = (values * gain.to(tl.float32)[None, :] + shift[None, :]).to(tl.bfloat16)
    if SCALES == 0:
        tl.store(out + at, values, mask=inside)
    if SCALES >= 1:
        by, over = tl.load(scale + column, mask=real, other=1.0), tl.load(inverse + column, mask=real, other=1.0)
        tl.store(out + at, _to_fp8(values.to(tl.float32), by[None, :], over[None, :]), mask=inside)
    if SCALES == 2:
        by = tl.load(other_scale + column, mask=real, other=1.0)
        over = tl.load(other_inverse + column, mask=real, other=1.0)
        tl.store(other_out + at, _to_fp8(values.to(tl.float32), by[None, :], over[None, :]), mask=inside)


def _norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, scales: Sequence[Scale], plus_one: bool) -> list[Tensor]:
    width = x.shape[-1]
    rows, block = x.numel() // width, triton.next_power_of_2(width)
    per = max(1, 2048 // block)
    outs = [torch.empty_like(x, dtype=FP8) for _ in scales] or [torch.empty_like(x)]
    first, last = (scales[0], scales[-1]) if scales else ((weight, weight), (weight, weight))
    _norm_kernel[(triton.cdiv(rows, per),)](
        x, weight, bias, *first, *last, outs[0], outs[-1], rows, eps,
        WIDTH=width, BLOCK=block, ROWS=per, PLUS_ONE=plus_one, SCALES=len(scales), num_warps=16 if block > 2048 else 4,
    )  # fmt: skip
    return outs


def layer_norm_1p(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return _norm(x, weight, bias, eps, (), True)[0]


def normalise_and_quantise(
    x: Tensor, weight: Tensor, bias: Tensor, scales: Sequence[Scale], eps: float
) -> tuple[Tensor, ...]:
    outs: list[Tensor] = []
    for i in range(0, len(scales), 2):
        outs += _norm(x, weight, bias, eps, scales[i : i + 2], False)
    return tuple(outs)


@triton.jit
def _standardise_kernel(x, out, rows, WIDTH: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr):
    row, column = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, BLOCK)
    inside = (row < rows)[:, None] & (column < WIDTH)[None, :]
    at = row[:, None] * WIDTH + column[None, :]
    values = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    centred = tl.where(inside, values - (tl.sum(values, 1) / WIDTH)[:, None], 0.0)
    deviation = tl.sqrt(tl.sum(centred * centred, 1) / WIDTH) + STANDARDISE_EPS
    tl.store(out + at, (centred / deviation[:, None]).to(tl.bfloat16), mask=inside)


def standardise(x: Tensor) -> Tensor:
    width, out = x.shape[-1], torch.empty_like(x)
    block, rows = triton.next_power_of_2(width), x.numel() // width
    per = max(1, 4096 // block)
    _standardise_kernel[(triton.cdiv(rows, per),)](x, out, rows, WIDTH=width, BLOCK=block, ROWS=per, num_warps=4)
    return out


@triton.jit
def _rotated_norm_kernel(
    x, sine, cosine, weight, bias, out, tokens, positions, eps,
    HEADS: tl.constexpr, SIZE: tl.constexpr, PAIRS: tl.constexpr,
    TOKENS: tl.constexpr, TILE: tl.constexpr, PAIR_BLOCK: tl.constexpr, REST_BLOCK: tl.constexpr,
):  # fmt: skip
    """A tile of TOKENS * TILE heads: channels [0, PAIRS) turn against [PAIRS, 2 * PAIRS), the rest stay."""
    line = tl.arange(0, TOKENS * TILE)
    token = tl.program_id(0).to(tl.int64) * TOKENS + line // TILE
    head = tl.program_id(1) * TILE + line % TILE
    pair, rest = tl.arange(0, PAIR_BLOCK), tl.arange(0, REST_BLOCK)
    real, more = pair < PAIRS, rest < SIZE - 2 * PAIRS
    here = (token < tokens)[:, None]
    inside, left = here & real[None, :], here & more[None, :]
    start = ((token * HEADS + head) * SIZE)[:, None]
    at_a, at_b, at_c = start + pair[None, :], start + PAIRS + pair[None, :], start + 2 * PAIRS + rest[None, :]
    a = tl.load(x + at_a, mask=inside, other=0.0).to(tl.float32)
    b = tl.load(x + at_b, mask=inside, other=0.0).to(tl.float32)
    c = tl.load(x + at_c, mask=left, other=0.0).to(tl.float32)
    mean = ((tl.sum(a, 1) + tl.sum(b, 1) + tl.sum(c, 1)) / SIZE)[:, None]
    a = tl.where(inside, a - mean, 0.0)
    b = tl.where(inside, b - mean, 0.0)
    c = tl.where(left, c - mean, 0.0)
    variance = (tl.sum(a * a, 1) + tl.sum(b * b, 1) + tl.sum(c * c, 1)) / SIZE
    scale = tl.rsqrt(variance + eps)[:, None]
    a = a * scale * (tl.load(weight + pair, mask=real, other=0.0) + 1)[None, :]
    b = b * scale * (tl.load(weight + PAIRS + pair, mask=real, other=0.0) + 1)[None, :]
    c = c * scale * (tl.load(weight + 2 * PAIRS + rest, mask=more, other=0.0) + 1)[None, :]
    a += tl.load(bias + pair, mask=real, other=0.0)[None, :]
    b += tl.load(bias + PAIRS + pair, mask=real, other=0.0)[None, :]
    c += tl.load(bias + 2 * PAIRS + rest, mask=more, other=0.0)[None, :]
    angle = (token % positions)[:, None] * PAIRS + pair[None, :]
    s, k = tl.load(sine + angle, mask=inside, other=0.0), tl.load(cosine + angle, mask=inside, other=0.0)
    tl.store(out + at_a, (a * k - b * s).to(tl.bfloat16), mask=inside)
    tl.store(out + at_b, (b * k + a * s).to(tl.bfloat16), mask=inside)
    tl.store(out + at_c, c.to(tl.bfloat16), mask=left)


def normalise_and_rotate(x: Tensor, sine: Tensor, cosine: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    heads, size, pairs = *x.shape[-2:], sine.shape[-1]
    tokens, tile = x.numel() // (heads * size), heads & -heads  # the largest power of two that divides the heads
    tile = min(tile, 8)
    per, out = 32 // tile, torch.empty_like(x)
    _rotated_norm_kernel[(triton.cdiv(tokens, per), heads // tile)](
        x, sine, cosine, weight, bias, out, tokens, sine.shape[0], eps,
        HEADS=heads, SIZE=size, PAIRS=pairs, TOKENS=per, TILE=tile, PAIR_BLOCK=triton.next_power_of_2(pairs),
        REST_BLOCK=triton.next_power_of_2(max(size - 2 * pairs, 1)), num_warps=4,
    )  # fmt: skip
    return out


@triton.jit
def _gated_sum_kernel(
    x, update, gate, weight, bias, out, per_chunk, eps, WIDTH: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    row, column = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)[None, :]
    real, at = column < WIDTH, row * WIDTH + column
    values = tl.load(update + at, mask=real, other=0.0).to(tl.float32)
    values *= tl.load(gate + row // per_chunk * WIDTH + column, mask=real, other=0.0).to(tl.float32)
    values = _normalised(values, real, WIDTH, eps) * (tl.load(weight + column, mask=real, other=0.0) + 1)
    values += tl.load(bias + column, mask=real, other=0.0)
    values += tl.load(x + at, mask=real, other=0.0).to(tl.float32)
    tl.store(out + at, values.to(tl.bfloat16), mask=real)


def _gated_sum(
    x: Tensor, update: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, eps: float, out: Tensor
) -> Tensor:
    width = x.shape[-1]
    block = triton.next_power_of_2(width)
    _gated_sum_kernel[(x.numel() // width,)](
        x, update, gate, weight, bias, out, x.shape[2], eps,
        WIDTH=width, BLOCK=block, num_warps=8 if block > 2048 else 4,
    )  # fmt: skip
    return out


def add_gated(x: Tensor, update: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return _gated_sum(x, update, gate, weight, bias, eps, torch.empty_like(x))


def add_gated_in_place(x: Tensor, update: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return _gated_sum(x, update, gate, weight, bias, eps, x)


@triton.jit
def _activation_kernel(
    x, scale, inverse, out, WIDTH: tl.constexpr, BLOCK: tl.constexpr, GATED: tl.constexpr, QUANTISED: tl.constexpr
):  # fmt: skip
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    real = column < WIDTH
    start = row * WIDTH * 2 if GATED else row * WIDTH
    values = tl.load(x + start + column, mask=real, other=0.0).to(tl.float32)
    if GATED:
        values = tl.div_rn(values, 1.0 + tl.exp(-values)).to(tl.bfloat16).to(tl.float32)
        values *= tl.load(x + start + WIDTH + column, mask=real, other=0.0).to(tl.float32)
    else:
        values = values * 0.5 * (1.0 + tl.erf(values * SQRT_HALF))
    values = values.to(tl.bfloat16)
    if QUANTISED:
        by, over = tl.load(scale + column, mask=real, other=1.0), tl.load(inverse + column, mask=real, other=1.0)
        tl.store(out + row * WIDTH + column, _to_fp8(values.to(tl.float32), by, over), mask=real)
    else:
        tl.store(out + row * WIDTH + column, values, mask=real)


def _activated(x: Tensor, gated: bool, scale: Scale | None, out: Tensor | None = None) -> Tensor:
    width = x.shape[-1] // 2 if gated else x.shape[-1]
    if out is None:
        out = x.new_empty((*x.shape[:-1], width), dtype=x.dtype if scale is None else FP8)
    _activation_kernel[(out.numel() // width, triton.cdiv(width, COLUMNS))](
        x, *(scale or (x, x)), out,
        WIDTH=width, BLOCK=COLUMNS, GATED=gated, QUANTISED=scale is not None, num_warps=4,
    )  # fmt: skip
    return out


def gated_silu(x: Tensor) -> Tensor:
    return _activated(x, True, None)


def gelu_in_place(x: Tensor) -> Tensor:
    return _activated(x, False, None, x)


def gelu_and_quantise(x: Tensor, scale: Scale) -> Tensor:
    return _activated(x, False, scale)


def gated_silu_and_quantise(x: Tensor, scale: Scale) -> Tensor:
    return _activated(x, True, scale)


@triton.jit
def _quantise_kernel(
    x, other, scale, inverse, out, WIDTH: tl.constexpr, BLOCK: tl.constexpr, GROUP: tl.constexpr, ROW: tl.constexpr
):  # fmt: skip
    """Of rows of WIDTH numbers; GROUP > 0: they are GROUP at a time of `x` and of `other`, whose rows are ROW long."""
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    real = column < WIDTH
    if GROUP > 0:
        turn, at = column // GROUP % 2, row * ROW + column // (2 * GROUP) * GROUP + column % GROUP
        values = tl.load(x + at, mask=real & (turn == 0), other=0.0)
        values += tl.load(other + at, mask=real & (turn == 1), other=0.0)
    else:
        values = tl.load(x + row * WIDTH + column, mask=real, other=0.0)
    by, over = tl.load(scale + column, mask=real, other=1.0), tl.load(inverse + column, mask=real, other=1.0)
    tl.store(out + row * WIDTH + column, _to_fp8(values.to(tl.float32), by, over), mask=real)


def quantise(x: Tensor, scale: Scale) -> Tensor:
    width, out = x.shape[-1], torch.empty_like(x, dtype=FP8)
    by, inverse = (part.expand(width).contiguous() for part in scale)
    _quantise_kernel[(x.numel() // width, triton.cdiv(width, COLUMNS))](
        x, x, by, inverse, out, WIDTH=width, BLOCK=COLUMNS, GROUP=0, ROW=0, num_warps=4
    )
    return out


def interleave_and_quantise(own: Tensor, text: Tensor, scale: Scale, groups: int) -> Tensor:
    width = own.shape[-1]
    out = own.new_empty((*own.shape[:-1], 2 * width), dtype=FP8)
    _quantise_kernel[(own.numel() // width, triton.cdiv(2 * width, COLUMNS))](
        own, text, *scale, out,
        WIDTH=2 * width, BLOCK=COLUMNS, GROUP=width // groups, ROW=width, num_warps=4,
    )  # fmt: skip
    return out


@triton.jit
def _quantise_rows_kernel(x, out, scales, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    row, column = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    real = column < WIDTH
    values = tl.load(x + row * WIDTH + column, mask=real, other=0.0).to(tl.float32)
    greatest = tl.max(tl.abs(values), 0)
    scale = tl.where(greatest > 0.0, tl.div_rn(greatest, FP8_MAX), 1.0)
    values = tl.clamp(tl.div_rn(values, scale), -FP8_MAX, FP8_MAX, propagate_nan=tl.PropagateNan.ALL)
    tl.store(out + row * WIDTH + column, values.to(tl.float8e4nv), mask=real)
    tl.store(scales + row, scale)


def quantise_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    width, out = x.shape[-1], torch.empty_like(x, dtype=FP8)
    scales = x.new_empty((*x.shape[:-1], 1), dtype=torch.float32)
    block = triton.next_power_of_2(width)
    _quantise_rows_kernel[(x.numel() // width,)](
        x, out, scales, WIDTH=width, BLOCK=block, num_warps=16 if block > 4096 else 8
    )
    return out, scales
