"""The pack loaded as ComfyUI loads it, against the stand-in for ComfyUI, and a tiny random model to run it with."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from magi_core.engine import Engine
from magi_core.text import SPECIAL_TOKEN_NAMES, SpecialTokens
from tests.nodes.graph_runs import GraphRuns
from tools.small_models import CHANNELS, WordEncoder, tiny_engine, tiny_vae

REPOSITORY = Path(__file__).parents[2]
STUB = REPOSITORY / "tests" / "comfy_stub"
PACK = "/custom_nodes/magi_x_pack"  # ComfyUI names packs by their path
STUBBED = ("comfy_api", "comfy", "comfy_execution", "folder_paths", "server")


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Node classes by id, from `comfy_entrypoint` of the repository's root."""
    before = {name for name in sys.modules if name.partition(".")[0] in STUBBED}
    assert not before, f"a real ComfyUI is already imported: {before}"
    sys.path.insert(0, str(STUB))
    try:
        import folder_paths

        folder_paths.models_dir = str(tmp_path_factory.mktemp("models"))
        folder_paths.input_directory = str(tmp_path_factory.mktemp("input"))
        folder_paths.output_directory = str(tmp_path_factory.mktemp("output"))
        folder_paths.temp_directory = str(tmp_path_factory.mktemp("temp"))
        folder_paths.user_directory = str(tmp_path_factory.mktemp("user"))
        spec = importlib.util.spec_from_file_location(PACK, REPOSITORY / "__init__.py")
        pack = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = pack
        spec.loader.exec_module(pack)
        extension = asyncio.run(pack.comfy_entrypoint())
        asyncio.run(extension.on_load())
        yield {node.define_schema().node_id: node for node in asyncio.run(extension.get_node_list())}
    finally:
        sys.path.remove(str(STUB))
        for name in [name for name in sys.modules if name.partition(".")[0] in STUBBED or "magi_x_pack" in name]:
            del sys.modules[name]


@pytest.fixture
def run(nodes: dict[str, Any]) -> Callable[..., Any]:
    """`run("MagiExtend", state=..., chunks=2)`: executes a node with the defaults of its widgets; its outputs."""

    def execute(node_id: str, **given: Any) -> Any:
        node = nodes[node_id]
        inputs = node.define_schema().inputs
        values = {i.id: i.options["default"] for i in inputs if "default" in i.options} | given
        outputs = node.execute(**values).args
        return outputs[0] if len(outputs) == 1 else outputs

    return execute


@pytest.fixture(scope="session")
def engine(nodes: dict[str, Any], part: Callable[[str], Any]) -> Engine:
    """A tiny transformer with special tokens in ComfyUI's hands; no VAE, no text encoder: nodes bring them."""
    from comfy.model_patcher import CoreModelPatcher

    special = SpecialTokens({name: torch.full((CHANNELS,), 0.1 * i) for i, name in enumerate(SPECIAL_TOKEN_NAMES)})
    tiny = tiny_engine(steps=4, duration_tokens=True).copy(
        vae=None, text_encoder=None, special_tokens=special, size=(32, 32)
    )
    cpu = torch.device("cpu")
    return part("host.engine").in_comfyui(tiny, CoreModelPatcher(tiny.dit, cpu, cpu))


@pytest.fixture(scope="session")
def part(nodes: dict[str, Any]) -> Callable[[str], Any]:
    """`part("host.vae")`: a module of the pack."""
    return lambda name: sys.modules[f"{PACK}.nodes.{name}"]


@pytest.fixture(scope="session")
def vae(part: Callable[[str], Any]) -> Any:
    return part("host.vae").PlacedVAE(tiny_vae(), part("host.device").vae_devices())


@pytest.fixture
def prompt(run: Callable[..., Any]) -> Callable[..., Any]:
    """`prompt("a red ball")`: a MAGI_CONDITIONING."""
    return lambda text, **switches: run("MagiTextEncode", text_encoder=WordEncoder(), prompt=text, **switches)


@pytest.fixture
def said(nodes: dict[str, Any]) -> Callable[[], list[str]]:
    """Texts shown on nodes from now on."""
    import server

    server.PromptServer.instance.texts.clear()
    return lambda: [text for _, text in server.PromptServer.instance.texts]


@pytest.fixture
def model(engine: Any) -> Any:
    """An engine that remembers nothing of other tests."""
    return engine.copy(cache=type(engine.cache)())


@pytest.fixture
def queue(nodes, part, model, monkeypatch) -> GraphRuns:
    """Runs a graph as ComfyUI does; `AModel` and `AnEncoder` are the loaders."""
    encoder = WordEncoder()
    return GraphRuns(nodes, part("desk.made"), monkeypatch, {"AModel": model, "AnEncoder": encoder})


@pytest.fixture
def plans(part: Callable[[str], Any]) -> Callable[[Any], list[dict[str, Any]]]:
    """What a graph would do, as the desk is told."""
    return lambda graph: part("desk.plans").plan({"graph": graph, "workflow": "wf"})["nodes"]


@pytest.fixture
def spent(model) -> Any:
    """Chunk-forwards that were made since the test last asked."""
    counted = [0]

    def count(module: Any, inputs: Any, keywords: Any) -> None:
        latents = inputs[0] if inputs else keywords["latents"]
        counted[0] += latents.shape[0] * latents.shape[2] // 6

    hook = model.dit.register_forward_pre_hook(count, with_kwargs=True)

    def since() -> int:
        found, counted[0] = counted[0], 0
        return found

    yield since
    hook.remove()
