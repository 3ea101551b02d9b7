"""K/V pages that no run reads stay on the device as far as the budget leaves room beside weights and run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import magi_core
from magi_core import loading
from magi_core.budget import HOLES, WithinBudget
from magi_core.cache.engine_cache import MOST_ON_GPU, EngineCache, device_page_budget
from magi_core.dit import DiT
from magi_core.dit.memory import chunk_tokens, page_bytes
from magi_core.engine import Engine
from magi_core.operations import Streamed
from tools.small_models import small_config, tiny_engine, tiny_vae, with_random_weights

CPU = torch.device("cpu")
SIZE, LARGE = {"width": 32, "height": 32}, {"width": 64, "height": 64}
PROMPTS = ("red", "blue circle", "", "red", "a tall tree", "it stops")
MUCH = 1 << 30


def engine_of(most: int = MUCH) -> tuple[Engine, WithinBudget]:
    """An engine in `WithinBudget`'s hands, with so much as its cache may keep, and its host."""
    operations = Streamed()
    dit = with_random_weights(DiT(replace(small_config(False), num_layers=5), operations=operations))
    host = WithinBudget(dit, operations, CPU, allowed=10**12)
    engine = tiny_engine(steps=4, kv_ranges=(2,)).copy(dit=dit, host=host, fingerprint="seven", vae=None)
    return engine.copy(cache=EngineCache(device_bytes=most, host_bytes=MUCH)), host


def weights(host: WithinBudget) -> int:
    parts = sum(part.nbytes for _, part in (*host._rows, *host._texts))
    return parts + sum(parameter.nbytes for parameter in host._others)


def page_of(engine: Engine, width: int, height: int) -> int:
    return page_bytes(engine.dit.config, chunk_tokens(engine.dit.config, width, height), 4)


def need_of(engine: Engine, size: dict[str, int], prompts: tuple[str, ...] = PROMPTS) -> int:
    """Bytes of a run, pages that it does not read left out."""
    need = engine.plan(engine.begin(**size), prompts).need
    return need.total - need.kept


@pytest.mark.parametrize("pages", [0, 0.9, 2.5, 100])
def test_they_take_what_weights_and_run_leave(pages: float) -> None:
    engine, host = engine_of()
    page, need = page_of(engine, **SIZE), need_of(engine, SIZE)
    host.allowed = weights(host) + need + HOLES + int(pages * page)
    extension = engine.plan(engine.begin(**SIZE, seed=3), PROMPTS)
    *_, made = engine.run(extension)
    kept, waiting = engine.cache.stats["pages"], engine.cache.stats["host pages"]
    assert not host.streamed and not extension.streamed_pages, "weights come first"
    assert kept.entries == min(int(pages), kept.entries + waiting.entries) and kept.entries + waiting.entries >= 4
    assert weights(host) + need + kept.bytes + HOLES <= host.allowed
    whole, _ = engine_of()
    assert torch.equal(made.latents, whole.extend(whole.begin(**SIZE, seed=3), PROMPTS).latents)


def test_a_run_that_just_fits_keeps_every_block_on_the_device_however_long_it_is() -> None:
    """Pages of chunks that it reads no more take nothing from the weights."""
    engine, host = engine_of()
    story = ("red",) * 8
    need = need_of(engine, SIZE, story)
    host.allowed = weights(host) + need + HOLES
    engine.extend(engine.begin(**SIZE), story)
    assert not host.streamed and not engine.cache.stats["pages"].entries
    assert need_of(engine_of()[0], SIZE, story * 2) == need


def test_a_run_that_needs_their_room_has_it_before_its_first_forward() -> None:
    engine, host = engine_of()
    page = page_of(engine, **SIZE)
    host.allowed = weights(host) + need_of(engine, LARGE, ("another",)) + HOLES + page
    small = engine.extend(engine.begin(**SIZE), PROMPTS)
    before = engine.cache.stats["pages"]
    assert before.entries >= 4, "the small run left room for all of its pages"
    left: list[int] = []
    hook = engine.dit.register_forward_pre_hook(lambda *_: left.append(engine.cache.stats["pages"].bytes))
    engine.extend(engine.begin(**LARGE), "another")
    assert left and max(left) == page
    hook.remove()
    again = engine.plan(small, "blue")
    assert again.page_budget > page and again.cost.pages == 1, "what left is there yet: only the last chunk has none"


def test_blocks_and_pages_that_are_streamed_leave_none() -> None:
    engine, host = engine_of()
    host.allowed = weights(host) + need_of(engine, SIZE) + HOLES - 1
    extension = engine.plan(engine.begin(**SIZE), PROMPTS)
    assert extension.streamed_pages and extension.page_budget == extension.need.kept == 0
    engine.extend(engine.begin(**SIZE), PROMPTS)
    assert engine.cache.stats["pages"].entries == 0 and host.spare(0) > 0 == host.spare(extension.need.total + MUCH)


@pytest.mark.parametrize("work", ["begin", "decode"])
def test_they_make_way_for_the_vae(work: str) -> None:
    engine, host = engine_of()
    engine = engine.copy(vae=tiny_vae())
    page, coding = page_of(engine, **SIZE), engine.decoding_bytes(512, 512)
    large = engine.begin(width=512, height=512)
    host.allowed = weights(host) + max(coding + page, need_of(engine, SIZE) + 4 * page) + HOLES
    engine.extend(engine.begin(**SIZE), PROMPTS)
    assert engine.cache.stats["pages"].bytes > (left := host.spare(coding))
    if work == "decode":
        engine.decode(large)
    else:
        engine.begin(width=512, height=512, image=torch.zeros(512, 512, 3))
    assert engine.cache.stats["pages"].bytes <= left


def test_they_are_bounded_and_on_a_gpu_that_nobody_counts_there_are_none() -> None:
    engine, host = engine_of(most=3 * page_of(engine_of()[0], **SIZE))
    engine.extend(engine.begin(**SIZE), PROMPTS)
    assert engine.cache.stats["pages"].entries == 3
    assert loading._placed(engine.dit, None, host.operations, CPU, 10**12)[1].device_bytes == MOST_ON_GPU
    assert device_page_budget(torch.device("cuda")) == 0 < device_page_budget(CPU)


def test_a_host_is_told_of_those_that_the_run_will_keep() -> None:
    engine, host = engine_of()
    asked: list[int] = []
    host.loaded_for = asked.append  # type: ignore[method-assign]
    need, extension = need_of(engine, SIZE), engine.plan(engine.begin(**SIZE), PROMPTS)
    list(engine.run(extension))
    assert extension.need.kept == len(PROMPTS) * page_of(engine, **SIZE)
    assert set(asked) == {extension.need.total} == {need + extension.need.kept}


@pytest.mark.parametrize("room", [True, False])
def test_a_text_encoder_that_stays_on_the_device_is_counted(room: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that neither pages nor blocks take its place."""
    monkeypatch.setattr(loading, "without_holes", lambda: None)
    monkeypatch.setattr(loading, "allowed_on", lambda device, vram: 10**12 if room else 10**9)
    engine = magi_core.load("nano", device="cpu")
    without = magi_core.load("nano", device="cpu", encoders=False)
    assert isinstance(engine.host, WithinBudget) and isinstance(without.host, WithinBudget)
    vae = sum(parameter.nbytes for parameter in engine.vae.model.parameters())
    there, own = engine.host.beside - vae, loading._bytes_in_bf16(loading.BUNDLED["nano"][0] / "t5")
    assert without.host.beside == 0 < own and there == (own if room else 0)
