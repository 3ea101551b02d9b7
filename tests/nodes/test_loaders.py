"""The loaders list what is in models/magi, with the bundled model first, and say what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import magi_core
from magi_core.errors import MagiError
from magi_core.loading import BUNDLED
from tests.unit.attention.masked_attention import masked_attention


def _listed(nodes: dict[str, Any], node_id: str) -> list[str]:
    return next(i for i in nodes[node_id].define_schema().inputs if i.id == "model").options["options"]


@pytest.mark.parametrize("node_id", ["MagiLoadModel", "MagiLoadVAE", "MagiLoadTextEncoder"])
def test_the_bundled_model_is_always_listed(nodes: dict[str, Any], node_id: str) -> None:
    assert _listed(nodes, node_id)[0] == "nano"


def test_the_model_folder_has_extensions(nodes: dict[str, Any]) -> None:
    import folder_paths

    paths, extensions = folder_paths.folder_names_and_paths["magi"]
    assert paths == [str(Path(folder_paths.models_dir) / "magi")]
    assert ".safetensors" in extensions


def test_the_inputs_of_the_example_workflows_are_offered(nodes: dict[str, Any]) -> None:
    import folder_paths

    folder = Path(folder_paths.get_input_directory())
    offered = {"magi_example_image.png", "magi_example_video.mp4", "magi_example_take.magi"}
    assert {path.name for path in folder.iterdir()} == offered


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "no such model", ""])
def test_names_that_are_not_in_the_list_are_refused(run: Any, name: str) -> None:
    with pytest.raises(MagiError, match="there is no model called"):
        run("MagiLoadModel", model=name)


def test_nano_loads_part_by_part_and_makes_a_video(run: Any) -> None:
    assert "nano" in BUNDLED
    model, vae, encoder = (run(node, model="nano") for node in ("MagiLoadModel", "MagiLoadVAE", "MagiLoadTextEncoder"))
    prompt = run("MagiTextEncode", text_encoder=encoder, prompt="a big red circle moves right")
    state = run("MagiChunkSampler", model=model, conditioning=prompt, width=128, height=128, steps=4)
    images, _ = run("MagiVAEDecode", vae=vae, state=state)
    assert images.shape == (24, 128, 128, 3)


def test_the_model_works_through_comfyuis_hands(run: Any, part: Any) -> None:
    """Loading a model places nothing; a node that uses it asks for it, with the memory it needs beside its weights."""
    import comfy.model_management as management

    management.loads.clear()
    model, vae = (run(node, model="nano") for node in ("MagiLoadModel", "MagiLoadVAE"))
    assert not management.loads
    encoder = run("MagiLoadTextEncoder", model="nano")
    prompt = run("MagiTextEncode", text_encoder=encoder, prompt="a ball")
    state = run("MagiChunkSampler", model=model, conditioning=prompt, width=32, height=32, steps=4)
    run("MagiVAEDecode", vae=vae, state=state)
    assert list(dict.fromkeys(patcher for patcher, _ in management.loads)) == [
        encoder.states.patcher,
        model.host.patcher,
        vae.patcher,
    ]
    assert all(announced > 0 for _, announced in management.loads)


def test_fp8_on_load_is_the_same_through_comfyuis_hands(run: Any) -> None:
    plain, model = magi_core.load("nano", device="cpu", dtype="fp8"), run("MagiLoadModel", model="nano", dtype="fp8")
    assert plain.fingerprint == model.fingerprint != magi_core.load("nano", device="cpu").fingerprint
    prompt = plain.encode_prompt("a ball")
    made = [m.with_settings(steps=4).extend(m.begin(width=32, height=32, steps=4), prompt) for m in (plain, model)]
    assert torch.equal(made[0].latents, made[1].latents)


def test_pages_leave_the_device_when_a_node_is_done(run: Any, part: Any, engine: Any, prompt: Any) -> None:
    from comfy.model_patcher import CoreModelPatcher

    cpu, gpu = torch.device("cpu"), torch.device("meta")
    for device, kept in ((cpu, True), (gpu, False)):
        patcher = CoreModelPatcher(engine.dit, device, cpu)
        placed = part("host.engine").in_comfyui(engine, patcher)
        run("MagiChunkSampler", model=placed, conditioning=prompt("a ball"), chunks=2, width=32, height=32, steps=4)
        assert bool(placed.cache.stats["pages"].entries) == kept
        assert placed.cache.stats["chunks"].entries == 2


def test_pages_leave_the_device_after_an_interrupt(run: Any, part: Any, engine: Any, prompt: Any) -> None:
    import comfy.model_management as management
    from comfy.model_patcher import CoreModelPatcher

    patcher = CoreModelPatcher(engine.dit, torch.device("meta"), torch.device("cpu"))
    placed = part("host.engine").in_comfyui(engine, patcher)
    put, placed.cache.pages.put = placed.cache.pages.put, lambda *page, **how: (put(*page, **how), interrupt())

    def interrupt() -> None:
        management.interrupted = True

    with pytest.raises(management.InterruptProcessingException):
        run("MagiChunkSampler", model=placed, conditioning=prompt("a ball"), chunks=3, width=32, height=32, steps=4)
    assert placed.cache.stats["pages"].entries == 0
    assert placed.cache.stats["chunks"].entries > 0


def test_attention_is_comfyuis_unless_chosen(run: Any, part: Any) -> None:
    from magi_core.attention.sdpa import sdpa

    calls = []

    def override(chosen: Any, *args: Any, **options: Any) -> Any:
        calls.append(chosen)
        return chosen(*args, **options)

    own, model = (run("MagiLoadModel", model="nano", attention=choice) for choice in ("sdpa", "auto"))
    assert own.attention is sdpa
    model.host.patcher.model_options["transformer_options"]["optimized_attention_override"] = override
    q, k = torch.randn(6, 4, 8), torch.randn(9, 2, 8)
    spans = [((0, 2), (0, 5)), ((2, 6), (3, 9))]
    torch.testing.assert_close(model.attention(q, k, k, spans), masked_attention(q, k, k, spans).float())
    assert len(calls) == 2


@pytest.mark.parametrize("spans", [[((0, 6), (0, 9))], [((0, 2), (0, 5)), ((2, 6), (3, 9))]], ids=["one", "two"])
def test_an_override_that_answers_in_another_format_is_rounded(run: Any, spans: Any) -> None:
    def widening(chosen: Any, *args: Any, **options: Any) -> Any:
        return chosen(*args, **options).float()

    model = run("MagiLoadModel", model="nano")
    model.host.patcher.model_options["transformer_options"]["optimized_attention_override"] = widening
    q, k = torch.randn(6, 4, 8).bfloat16(), torch.randn(9, 2, 8).bfloat16()
    assert model.attention(q, k, k, spans).dtype == torch.bfloat16


def test_comfyuis_sage_is_announced_with_keys_and_values_for_every_head(run: Any, monkeypatch: Any) -> None:
    import comfy.ldm.modules.attention as comfy_attention

    from magi_core.attention.choose import kept_bytes
    from magi_core.attention.sage import sage_bytes

    attention, rows = run("MagiLoadModel", model="nano").attention, (4000, 20000)
    assert kept_bytes(attention, *rows, 24, 8, 128) == 0
    monkeypatch.setattr(comfy_attention, "attention_sage", object(), raising=False)
    monkeypatch.setattr(comfy_attention, "optimized_attention", comfy_attention.attention_sage)
    repeated = 2 * 2 * 20000 * 24 * 128
    assert kept_bytes(attention, *rows, 24, 8, 128) == repeated + sage_bytes(*rows, 24, 24, 128)
    assert kept_bytes(attention, *rows, 24, 24, 128) == sage_bytes(*rows, 24, 24, 128)


def test_a_vae_of_another_model_is_refused_in_words(run: Any) -> None:
    from comfy.sd import VAE

    with pytest.raises(MagiError, match="belongs to another model: connect Magi Load VAE"):
        run("MagiVAEEncode", vae=VAE(), image=torch.rand(1, 32, 32, 3), width=32, height=32)


def test_a_model_knows_the_vae_that_lies_with_it_loaded_or_not(run: Any, part: Any, nodes: dict[str, Any]) -> None:
    models = [run("MagiLoadModel", model=name) for name in ("nano", "nano-distill")]
    unloaded = part("desk.unloaded").unloaded_model({"model": "nano"})
    vaes = [run("MagiLoadVAE", model="nano", dtype=dtype).codec.identity for dtype in ("auto", "bf16")]
    assert len({*vaes, unloaded.own_vae, *(model.vae_identity for model in models)}) == 1 and vaes[0]


def test_the_same_files_have_the_same_fingerprint(nodes: dict[str, Any]) -> None:
    marks = {nodes["MagiLoadVAE"].fingerprint_inputs(model="nano", dtype=dtype) for dtype in ("auto", "fp32")}
    assert len(marks) == 1


def test_a_bad_file_breaks_no_list_and_says_why(nodes: dict[str, Any], run: Any, caplog: Any) -> None:
    """It is in the list, ComfyUI's log says once why it cannot be read, and so does the node that is to load it."""
    import folder_paths

    folder = Path(folder_paths.models_dir) / "magi"
    folder.mkdir(exist_ok=True)
    bad = folder / "bad.safetensors"
    bad.symlink_to(folder / "nothing")
    try:
        with caplog.at_level("WARNING"):
            assert all("bad.safetensors" in _listed(nodes, "MagiLoadModel") for _ in range(2))
        assert sum("leads nowhere" in record.getMessage() for record in caplog.records) == 1
        with pytest.raises(MagiError, match="leads nowhere"):
            run("MagiLoadModel", model="bad.safetensors")
        with pytest.raises(MagiError, match=r"bad.safetensors \(unreadable\)"):
            run("MagiLoadModel", model="no such model")
    finally:
        bad.unlink()
