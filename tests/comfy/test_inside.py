"""Inside ComfyUI's own process, where its memory management, layers and loaders can be seen: `tools/comfyui/inside`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools.comfyui.find import REPOSITORY, interpreter
from tools.comfyui.inside.telling import heard
from tools.comfyui.server import base_directory

LIMIT = 600.0  # seconds for all checks; about one minute on two free cores
INSIDE = REPOSITORY / "tools" / "comfyui" / "inside"
EXACT = 1e-6  # relative L2, or absolute difference of 8-bit values


@pytest.fixture(scope="module")
def found(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What every check found, by name."""
    base = base_directory(tmp_path_factory.mktemp("inside") / "base")
    command = [interpreter(comfyui), str(INSIDE), str(comfyui), str(base)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = [said for line in done.stdout.splitlines() if (said := heard(line)) and "begin" not in said]
    return {said["name"]: said.get("found", said) for said in told}


@pytest.fixture
def check(found: dict[str, Any], request: pytest.FixtureRequest) -> Any:
    """The check that the test is named after."""
    result = found[request.node.name.removeprefix("test_")]
    assert not (isinstance(result, dict) and "failed" in result), result["failed"]
    return result


def test_parity(check: dict[str, float]) -> None:
    """ComfyUI's layers and T5 give what plain PyTorch gives, on nano in float32."""
    assert max(check.values()) < EXACT, check


def test_low_vram(check: dict[str, float]) -> None:
    assert check.pop("fetched") > 50
    assert max(check.values()) < EXACT, check


def test_dynamic_layers(check: dict[str, Any]) -> None:
    assert check.pop("empty")
    assert max(check.values()) < EXACT, check


def test_moved_between_prompts(check: dict[str, Any]) -> None:
    assert max(check.values()) < EXACT, check


def test_announced(check: dict[str, Any]) -> None:
    assert (check["at_load"], check["in_a_run"]) == (0, 1)
    assert check["models"] == ["DiT", "ViTVAE", "T5"]
    assert check["bytes"][0] > 5e6 and check["bytes"][1] > 2e6 and check["bytes"][2] > 0


def test_remembered_chunks_need_no_model(check: int) -> None:
    assert check == 0


def test_unload(check: dict[str, Any]) -> None:
    assert "DiT" in check["before"] and check["after"] == []
    assert check["again"] < EXACT


def test_freed(check: dict[str, bool]) -> None:
    assert check == {"used_vae": True, "used_model": True, "used_encoder": True}


def test_compile(check: dict[str, Any]) -> None:
    """Close to the plain model wherever its weights are, which stay ComfyUI's; nothing is compiled twice."""
    assert check["works"] and 0 < check["graphs"] <= 4 and check["breaks"] == 0
    assert check["more"] <= 1, check  # norms that are fetched are tensors where they were parameters
    assert max(check[name] for name in ("latents", "low_vram", "again")) < 1e-5, check
    assert check["plain"] < EXACT


def test_counted(check: dict[str, int]) -> None:
    """ComfyUI's accounting sees what a state and a prompt hold in memory, once."""
    assert check["state"] == check["state tensors"] > 20_000
    assert check["prompt"] == check["prompt tensors"] > 0


def test_interrupt(check: dict[str, Any]) -> None:
    """It stops within a forward, the models stay usable, and nothing of theirs is left after unloading."""
    assert check["stopped"] and check["forwards"] == 8
    assert check["again"] < EXACT
    assert check["after unloading"][0] - check["before"][0] <= 64


def test_vram(check: dict[str, Any]) -> None:
    assert check["after unloading"][0] - check["before"][0] <= 64


def test_detached(check: dict[str, Any]) -> None:
    assert check == {"column": 0.0, "kept": "Parameter", "tied": True}


def test_two_models(check: dict[str, float]) -> None:
    assert check["first"] < EXACT and check["second"] < EXACT < check["different"]


def test_attention(check: dict[str, Any]) -> None:
    assert check["overrides"] > 10 and check["chosen"] == "attention_split"
    assert check["overridden"] < EXACT and check["split"] < 1e-5


def test_lora(check: dict[str, Any]) -> None:
    """MAGI's and the diffusers names; weights in place, fetched, and as they were afterwards; one memory for all."""
    assert check["changes"] > 0.01
    assert check["shared"] and check["nothing"] and check["fingerprints"] == 4
    same = ("merged", "base", "low_vram", "one_memory", "base_again")
    assert max(check[name] for name in same) < EXACT, check
    assert check["compiled"] < 1e-5


def test_foreign_loras(check: dict[str, str]) -> None:
    assert "is not a LoRA for MAGI-1" in check["other.safetensors"]
    assert "made for another MAGI-1 model" in check["size.safetensors"]
    assert "there is no LoRA called" in check["../look.safetensors"]


def test_fp8_lora(check: dict[str, float]) -> None:
    assert check.pop("changes") > 1e-3
    assert max(check.values()) < EXACT, check


def test_fp8_on_load_lora(check: dict[str, float]) -> None:
    assert check.pop("changes") > 1e-3
    assert max(check.values()) < EXACT, check


def test_core_vae_nodes(check: dict[str, Any]) -> None:
    assert check["latent"] == [1, 16, 6, 8, 8] and check["continued"] == [1, 16, 12, 8, 8]
    assert check["images"] == [[24, 64, 64, 3], pytest.approx(0, abs=EXACT)]
    assert check["batch"] == [[2, 24, 64, 64, 3], pytest.approx(0, abs=EXACT)]
    assert max(check["encoded"], check["prefix"], check["scale"]) < EXACT
    assert check["tiled"] < 0.05 and check["images_tiled"] < 0.02  # other tiles, other seams
    assert check["compression"] == [8, 4]
    assert "connect Magi Load VAE" in check["foreign"]


def test_clip(check: dict[str, Any]) -> None:
    """Relative L2 against transformers in float32, over every visible token."""
    assert all(check["tokens"]) and len(check["tokens"]) == 5
    assert max(check["mochi"] + check["ltxv"]) < 1e-5, check
    assert check["mochi notes"] == ["prompt cut to 800 tokens (it has 901)"]
    assert check["empty"]
    assert "not with T5-XXL alone" in check["refused"]["sd3"]
    assert "look at the padding of a prompt" in check["refused"]["pixart"]


def test_folders(check: dict[str, Any]) -> None:
    own = {"diffusion_models/mine", "diffusion_models/magi_base.safetensors"}
    assert own <= set(check["listed"]["MagiLoadModel"])
    assert "vae/magi" in check["listed"]["MagiLoadVAE"]
    assert "text_encoders/t5" in check["listed"]["MagiLoadTextEncoder"]
    assert not any("other" in name for names in check["listed"].values() for name in names)
    assert all(error < EXACT and tokens for error, tokens in (check[name] for name in own))
    assert check["vae"] < EXACT and check["text"] < EXACT and check["borrowed"] == 16
    assert "there is no model called" in check["other"]


def test_every_check_is_tested(found: dict[str, Any]) -> None:
    assert {f"test_{name}" for name in found} <= set(globals())
