"""The transformer's arithmetic through torch.compile: same results, few graphs, and nothing lost where it fails."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch._dynamo.utils import counters

from magi_core.dit import DiT
from magi_core.engine import Engine
from magi_core.errors import MagiError
from magi_core.kernels import compilation
from magi_core.kernels.compilation import Compiler, check_compilation, compiling, fusible
from magi_core.kernels.fused import FP8_MAX, Scale, gated_silu, quantise
from magi_core.loading import load
from magi_core.state import SamplerState
from tools.small_models import tiny_engine

PROMPTS = ["red", "red", "blue circle", "it stops", "green"]
GRAPHS = 4  # q and k; gates of one chunk and of more


@pytest.fixture(autouse=True)
def nothing_compiled() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def made(engine: Engine, size: int = 32, chunks: int = len(PROMPTS)) -> SamplerState:
    """A video of two extends, from an empty memory."""
    engine.cache.clear()
    state = engine.extend(engine.begin(width=size, height=size, seed=4), PROMPTS[: chunks - 1], chunks - 1)
    return engine.extend(state, PROMPTS[chunks - 1], handoff="continuous")


def compiled(engine: Engine, backend: str = "aot_eager") -> Engine:
    return engine.copy(compiler=Compiler(backend))


def graphs() -> int:
    return counters["stats"]["unique_graphs"]


def far(a: SamplerState, b: SamplerState) -> float:
    """Relative L2."""
    return float((a.latents - b.latents).norm() / b.latents.norm())


@pytest.mark.parametrize("distill", [False, True], ids=["base", "distill"])
def test_results_are_those_of_the_plain_model(distill: bool) -> None:
    engine = tiny_engine(distill)
    plain = made(engine)
    assert graphs() == 0
    assert far(made(compiled(engine)), plain) < 1e-5
    assert graphs() > 0


def test_inductor_computes_the_same() -> None:
    engine = tiny_engine()
    fast = compiled(engine, "inductor")
    assert far(made(fast, chunks=3), made(engine, chunks=3)) < 1e-5
    assert graphs() == GRAPHS and not fast.compiler.failed


def test_inductor_rounds_to_fp8_twice_as_well() -> None:
    x = torch.randn(1, 64, 16, generator=torch.Generator().manual_seed(1)) * torch.logspace(-3, 4, 16)
    x[0, 0] = torch.tensor([FP8_MAX, -FP8_MAX]).repeat(8)
    scale, compiler = Scale.of(torch.full((16,), 0.05)), Compiler()
    with compiling(compiler):
        actual = quantise(x, scale)
    assert not compiler.failed and graphs() == 1
    assert torch.equal(actual.view(torch.uint8), quantise(x, scale).view(torch.uint8))


def test_one_set_of_graphs_serves_all_layers_windows_lengths_and_sizes() -> None:
    """A window holds 1 to 5 chunks here, and their pictures 4, 12 or 9 tokens."""
    engine = compiled(tiny_engine())
    made(engine, chunks=2)
    assert graphs() == GRAPHS
    made(engine)
    made(engine, size=48)
    made(engine.with_settings(window=2))
    wide = engine.begin(width=64, height=48)
    engine.extend(wide, "red", 3)
    assert graphs() == GRAPHS
    assert not counters["graph_break"] and not engine.compiler.failed


def test_who_compiles_a_whole_model_gets_one_graph() -> None:
    torch._dynamo.reset()
    x = torch.randn(1, 3, 8)
    whole = torch.compile(lambda y: gated_silu(y * 2) + 1, backend="eager", fullgraph=True)
    assert torch.equal(whole(x), gated_silu(x * 2) + 1)


def test_models_of_other_widths_get_graphs_of_their_own() -> None:
    """A width that became variable would make the larger model slower."""
    counter = CompileCounter()
    compiler = Compiler(counter)
    with compiling(compiler):
        for width in (32, 64, 128):
            for tokens in (6, 24, 30):
                gated_silu(torch.randn(1, tokens, width))
    assert counter.frame_count == 3


def test_a_compiled_copy_leaves_the_model_alone() -> None:
    engine = tiny_engine()
    fast = compiled(engine)
    assert fast.dit is engine.dit and fast.cache is engine.cache
    made(fast)
    before = graphs()
    made(engine)
    made(fast.copy(compiler=None))
    assert graphs() == before
    assert fast.with_settings(steps=16).compiler is fast.compiler


def test_a_take_goes_on_with_or_without_it() -> None:
    """Like the choice of attention: neither is K/V thrown away, nor the pipeline's continuation broken."""
    engine = tiny_engine()
    whole = engine.extend(engine.begin(width=32, height=32), "red", 3)
    engine.cache.clear()
    begun = engine.extend(engine.begin(width=32, height=32), "red", 2)
    extended = compiled(engine).extend(begun, "red", handoff="continuous")
    assert extended.notes == () and far(extended, whole) < 1e-5


def test_where_compiling_fails_the_run_goes_on_without_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no toolchain here")

    engine = tiny_engine()
    plain, fast = made(engine), engine.copy(compiler=Compiler(broken))
    with caplog.at_level(logging.WARNING):
        assert torch.equal(made(fast).latents, plain.latents)
        made(fast)
    told = [record.getMessage() for record in caplog.records if "torch.compile" in record.getMessage()]
    assert len(told) == 1 and "no toolchain here" in told[0]


def test_errors_of_the_arithmetic_itself_are_not_blamed_on_compiling() -> None:
    @fusible()
    def wrong(x: torch.Tensor) -> torch.Tensor:
        return x @ x

    compiler = Compiler("eager")
    with compiling(compiler), pytest.raises(RuntimeError):
        wrong(torch.ones(2, 3))
    assert not compiler.failed


def test_a_full_device_is_not_mistaken_for_a_broken_compiler() -> None:
    calls = []

    @fusible()
    def full(x: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        raise torch.cuda.OutOfMemoryError("full")

    compiler = Compiler("eager")
    compiler._compiled[full.__wrapped__] = full.__wrapped__
    with compiling(compiler), pytest.raises(torch.cuda.OutOfMemoryError):
        full(torch.ones(1))
    assert len(calls) == 1 and not compiler.failed


def test_what_is_missing_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", sys.executable)
    check_compilation("cpu")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MagiError, match="install g\\+\\+ or clang"):
        check_compilation("cpu")
    with pytest.raises(MagiError, match="needs a C\\+\\+ compiler"):
        load("nano", device="cpu", compiled=True)
    monkeypatch.setattr(compilation, "find_spec", lambda name: None)
    with pytest.raises(MagiError, match="pip install triton"):
        check_compilation("cuda")


def test_load_compiles_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", sys.executable)
    engine = load("nano", device="cpu", encoders=False, compiled=True)
    assert isinstance(engine.dit, DiT) and engine.compiler is not None
    assert load("nano", device="cpu", encoders=False).compiler is None
