"""The loaders list what is in models/magi, with the bundled model first, and say what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from magi_core.errors import MagiError
from magi_core.loading import BUNDLED


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
    assert {path.name for path in folder.iterdir()} == {"magi_example_image.png", "magi_example_video.mp4"}


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


def test_the_same_files_have_the_same_fingerprint(nodes: dict[str, Any]) -> None:
    marks = {nodes["MagiLoadVAE"].fingerprint_inputs(model="nano", dtype=dtype) for dtype in ("auto", "fp32")}
    assert len(marks) == 1
