"""Every attention backend that runs here against a masked softmax in float64, in every number format it works in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from magi_core.attention import flash, sage
from magi_core.attention.choose import get_attention, kept_bytes
from magi_core.attention.flash import Kernel, flash_attention, installed_flash
from magi_core.attention.sage import installed_sage, sage_attention
from magi_core.attention.sdpa import sdpa
from magi_core.attention.spans import Attention, Span, merge_spans
from magi_core.errors import MagiError
from tests.peak_memory import PeakMemory
from tests.unit.attention.masked_attention import masked_attention

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 8e-3, torch.float16: 1e-3}  # relative L2; inputs are exact
GPU = ["cuda"] if torch.cuda.is_available() else []
WINDOW: list[Span] = [((0, 5), (0, 9)), ((5, 6), (8, 40)), ((6, 30), (40, 41)), ((30, 47), (0, 64))]


def bare_kernel(q: Tensor, k: Tensor, v: Tensor, *, as_tuple: bool = False) -> Tensor | tuple[Tensor, None]:
    """What flash-attn's function does, with its layout [B, S, heads, D]; some generations give the log-sum as well."""
    whole: list[Span] = [((0, q.shape[1]), (0, k.shape[1]))]
    out = masked_attention(q[0], k[0], v[0], whole)[None].to(q)
    return (out, None) if as_tuple else out


def flash_without_a_gpu(as_tuple: bool) -> Attention:
    return partial(flash.by_spans, partial(bare_kernel, as_tuple=as_tuple))


BACKENDS: dict[str, tuple[Attention, Sequence[str]]] = {
    "sdpa": (sdpa, ["cpu", *GPU]),
    "flash_attn's spans": (flash_without_a_gpu(False), ["cpu"]),
    "flash_attn 4's spans": (flash_without_a_gpu(True), ["cpu"]),
} | ({"flash_attn": (flash_attention, ["cpu", *GPU])} if installed_flash() else {})

CASES = [
    pytest.param(attention, device, dtype, id=f"{name}-{device}-{str(dtype).removeprefix('torch.')}")
    for name, (attention, devices) in BACKENDS.items()
    for device in devices
    for dtype in TOLERANCE
]


def made(q: int, k: int, heads: int, groups: int, width: int = 16, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, h, width, generator=generator) for n, h in ((q, heads), (k, groups), (k, groups)))


def error(actual: Tensor, expected: Tensor) -> float:
    """Relative L2."""
    return float((actual.cpu().double() - expected).norm() / expected.norm())


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (8, 2), (6, 1)])
@pytest.mark.parametrize(("attention", "device", "dtype"), CASES)
def test_spans_are_a_masked_softmax(
    attention: Attention, device: str, dtype: torch.dtype, heads: int, groups: int
) -> None:
    q, k, v = (x.to(device, dtype) for x in made(47, 64, heads, groups, width=64))
    out = attention(q, k, v, WINDOW)
    assert out.dtype == dtype and out.device.type == device and out.shape == q.shape
    assert error(out, masked_attention(q, k, v, WINDOW)) < TOLERANCE[dtype]


@st.composite
def windows(draw: Callable) -> tuple[int, int, list[Span]]:
    """Queries, keys, and spans that cover the queries, of any sizes."""
    keys = draw(st.integers(1, 30))
    spans: list[Span] = []
    for size in draw(st.lists(st.integers(1, 7), min_size=1, max_size=5)):
        start = draw(st.integers(0, keys - 1))
        first = spans[-1][0][1] if spans else 0
        spans.append(((first, first + size), (start, draw(st.integers(start + 1, keys)))))
    return spans[-1][0][1], keys, spans


@pytest.mark.parametrize("attention", [entry[0] for entry in BACKENDS.values()], ids=list(BACKENDS))
@given(window=windows(), groups=st.sampled_from([1, 2, 4]))
@settings(max_examples=30, deadline=None)
def test_any_window_is_a_masked_softmax(attention: Attention, window: tuple[int, int, list[Span]], groups: int) -> None:
    queries, keys, spans = window
    q, k, v = made(queries, keys, 4, groups)
    assert error(attention(q, k, v, spans), masked_attention(q, k, v, spans)) < TOLERANCE[torch.float32]


@given(window=windows())
@settings(max_examples=50, deadline=None)
def test_joined_spans_ask_for_the_same(window: tuple[int, int, list[Span]]) -> None:
    queries, keys, spans = window
    joined = merge_spans(spans)
    one_by_one = {q: seen for (q0, q1), seen in spans for q in range(q0, q1)}
    assert {q: seen for (q0, q1), seen in joined for q in range(q0, q1)} == one_by_one
    assert all(a[1] != b[1] for a, b in zip(joined, joined[1:], strict=False))


def test_a_window_of_equal_chunks_that_see_the_same_is_one_call() -> None:
    assert merge_spans([((0, 4), (0, 8)), ((4, 8), (0, 8)), ((8, 9), (1, 8))]) == [((0, 8), (0, 8)), ((8, 9), (1, 8))]


def test_backends_are_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for found in (None, "flash-attn 3"):
        monkeypatch.setattr("magi_core.attention.choose.installed_flash", lambda found=found: found)
        assert get_attention("sdpa", "cuda") is sdpa
        assert get_attention("auto", "cpu") is sdpa
        assert get_attention("auto", "cuda") is (flash_attention if found else sdpa)
    assert get_attention("flash_attn") is flash_attention
    with pytest.raises(MagiError, match="unknown attention backend 'fast': use 'auto', 'sdpa', 'flash_attn' or 'sage'"):
        get_attention("fast")


def test_sage_is_never_chosen_unless_it_is_asked_for_and_says_where_it_is_missing(monkeypatch) -> None:
    monkeypatch.setattr("magi_core.attention.choose.installed_flash", lambda: None)
    for found in (True, False):
        monkeypatch.setattr("magi_core.attention.choose.installed_sage", lambda found=found: found)
        assert get_attention("auto", "cuda") is sdpa
        if found:
            assert get_attention("sage", "cuda") is sage_attention
    monkeypatch.setattr(sage, "MODULE", "no_such_sage")
    assert not installed_sage()
    with pytest.raises(MagiError, match="thu-ml/SageAttention .*or choose attention 'auto'"):
        get_attention("sage")


class Streams:
    """Stand-in for CUDA's streams: what is queued, waited for and told, in order; `default` is current at first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.current = self.default = "default"
        self.log: list[tuple[str, ...]] = []
        monkeypatch.setattr(torch.cuda, "default_stream", lambda _device: self.stream(self.default))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: self.stream(self.current))
        monkeypatch.setattr(torch.cuda, "stream", self.entered)
        monkeypatch.setattr(Tensor, "record_stream", lambda _, stream: self.log.append(("kept for", stream.name)))

    def stream(self, name: str) -> Any:
        waiting = lambda other: self.log.append((name, "waits for", other.name))  # noqa: E731
        return Named(name, waiting)

    @contextmanager
    def entered(self, stream: Any) -> Iterator[None]:
        before, self.current = self.current, stream.name
        yield
        self.current = before


@dataclass(frozen=True)
class Named:
    """A stream; equal to others of its name."""

    name: str
    wait_stream: Callable[[Any], None] = field(compare=False)


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Streams:
    return Streams(monkeypatch)


@pytest.fixture
def sages(monkeypatch: pytest.MonkeyPatch) -> Callable[[Kernel], tuple[Tensor, Tensor, Tensor]]:
    """Has a function stand in for the package's; what it is called with looks as if it were on a GPU."""

    def standing_in(function: Kernel) -> tuple[Tensor, Tensor, Tensor]:
        monkeypatch.setitem(sys.modules, "sageattention", SimpleNamespace(sageattn=function))
        monkeypatch.setattr(Tensor, "is_cuda", True)
        monkeypatch.setattr(sage, "SHORT", 0)
        return tuple(x.bfloat16() for x in made(47, 64, 8, 2, width=64))

    return standing_in


@pytest.mark.parametrize(
    ("current", "log"),
    [
        ("default", ["default"] * len(WINDOW)),
        (
            "ours",
            [
                ("default", "waits for", "ours"),
                *["default"] * len(WINDOW),
                ("kept for", "ours"),
                ("ours", "waits for", "default"),
            ],
        ),
    ],
)
def test_sage_runs_where_its_kernels_do(
    current: str, log: list[Any], streams: Streams, sages: Callable[..., Any]
) -> None:
    """On the default stream whichever is current: after what was queued for it, and before what reads it."""

    def sageattn(q: Tensor, k: Tensor, v: Tensor, **_how: Any) -> Tensor:
        streams.log.append(streams.current)
        return bare_kernel(q, k, v)

    q, k, v = sages(sageattn)
    streams.current = current
    assert error(sage_attention(q, k, v, WINDOW), masked_attention(q, k, v, WINDOW)) < TOLERANCE[torch.bfloat16]
    assert streams.log == log and streams.current == current


def test_sage_without_kernels_for_a_gpu_says_what_to_do(
    streams: Streams, sages: Callable[..., Any], monkeypatch
) -> None:
    """Before anything is loaded, and in a forward."""

    def sageattn(*_given: Any, **_how: Any) -> Tensor:
        raise AssertionError("SM90 kernel is not available.")

    q, k, v = sages(sageattn)
    with pytest.raises(MagiError, match=r"without kernels for this GPU \(SM90 .*build it on this machine.*or choose"):
        sage_attention(q, k, v, WINDOW)
    monkeypatch.setattr("magi_core.attention.choose.installed_sage", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (9, 0))
    for built in (True, False):
        monkeypatch.setitem(sys.modules, "sageattention.core", SimpleNamespace(SM90_ENABLED=built, SM80_ENABLED=True))
        if built:
            assert get_attention("sage", "cuda") is sage_attention
        else:
            with pytest.raises(MagiError, match=r"compute capability 9\.0"):
                get_attention("sage", "cuda")


@pytest.mark.parametrize(("queries", "keys"), [(47, 1300), (300, 1280)])
def test_sage_keeps_as_much_as_is_announced(queries: int, keys: int) -> None:
    """What its kernels for Hopper allocate, done with plain tensors."""
    heads, groups, width, padded = 8, 2, 64, -(-keys // 128) * 128
    with PeakMemory() as memory:
        q = torch.empty(queries, heads, width, dtype=torch.int8), torch.empty(heads, -(-queries // 64) * 32)
        k = torch.empty(keys, groups, width, dtype=torch.int8), torch.empty(groups, -(-keys // 128) * 4)
        values = torch.empty(padded, groups, width, dtype=torch.bfloat16)
        transposed = torch.empty(width, groups, padded, dtype=torch.bfloat16)
        eights = transposed.to(torch.float8_e4m3fn)
    del q, k, values, eights
    announced = kept_bytes(sage_attention, queries, keys, heads, groups, width)
    assert memory.peak <= announced <= 1.03 * memory.peak
    assert kept_bytes(sdpa, queries, keys, heads, groups, width) == 0
    assert kept_bytes(sage_attention, queries, sage.SHORT, heads, groups, width) == 0, "those go to PyTorch's own"


def test_sage_is_given_every_span_in_its_layout(monkeypatch: pytest.MonkeyPatch, streams: Streams) -> None:
    """Its function stands in for itself: it needs a GPU."""
    told: list[dict[str, Any]] = []

    def sageattn(q: Tensor, k: Tensor, v: Tensor, **how: Any) -> Tensor:
        told.append(how)
        return bare_kernel(q, k, v)

    monkeypatch.setitem(sys.modules, "sageattention", SimpleNamespace(sageattn=sageattn))
    q, k, v = (x.bfloat16() for x in made(47, 64, 8, 2, width=64))
    expected = masked_attention(q, k, v, WINDOW)
    assert error(sage_attention(q, k, v, WINDOW), expected) < TOLERANCE[torch.bfloat16] and not told
    monkeypatch.setattr(Tensor, "is_cuda", True)
    assert error(sage_attention(q, k, v, WINDOW), expected) < TOLERANCE[torch.bfloat16] and not told, "few keys"
    monkeypatch.setattr(sage, "SHORT", 0)
    assert error(sage_attention(q, k, v, WINDOW), expected) < TOLERANCE[torch.bfloat16]
    assert told == [{"tensor_layout": "NHD", "is_causal": False}] * len(WINDOW)
    monkeypatch.setattr(sage, "sdpa", lambda *given: given)
    assert sage_attention(q.float(), k, v, WINDOW) and sage_attention(q[..., :16], k, v, WINDOW)


@pytest.mark.parametrize("spans", [[((0, 6), (0, 9))], [((0, 2), (0, 5)), ((2, 6), (3, 9))]], ids=["one", "two"])
def test_a_kernel_that_answers_in_another_format_is_rounded(spans: list[Span]) -> None:
    q, k, v = (x.bfloat16() for x in made(6, 9, 4, 2))
    out = flash.by_spans(lambda *given: bare_kernel(*given).float(), q, k, v, spans)
    assert out.dtype == torch.bfloat16 and torch.equal(out, flash.by_spans(bare_kernel, q, k, v, spans))


def test_flash_attn_that_is_not_there_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "GENERATIONS", {"no_such_flash": "flash-attn 9"})
    assert installed_flash() is None
    for ask in (lambda: get_attention("flash_attn"), lambda: flash_attention(*made(1, 1, 1, 1), [((0, 1), (0, 1))])):
        with pytest.raises(MagiError, match="pip install flash-attn, or choose attention 'sdpa' or 'auto'"):
            ask()
