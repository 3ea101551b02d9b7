"""What the pack adds to ComfyUI's start: little time, no heavy library, no network. Each start is a new process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
MOST = 0.3  # seconds of processor time, beyond PyTorch and what ComfyUI imports
RUNS = 3  # the quickest counts: a busy machine's caches slow the others down
PRESENT = ("torch", "numpy", "PIL.Image", "av", "einops", "safetensors.torch", "comfy_api.latest", "comfy.sd", "server")
START = f"""
import asyncio, importlib, importlib.util, json, socket, sys, time
sys.path.insert(0, "tests/comfy_stub")
for name in {PRESENT!r}:  # ComfyUI has imported these before it comes to custom nodes
    importlib.import_module(name)
folders = importlib.import_module("folder_paths")
folders.models_dir = folders.input_directory = folders.output_directory = sys.argv[1]
refused = []
def refuse(*arguments, **_):
    refused.append(repr(arguments))
    raise OSError("no network while the pack is imported")
def libraries(modules):
    return {{name.partition(".")[0] for name in modules}}
async def entry(pack):
    socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
    extension = await pack.comfy_entrypoint()
    await extension.on_load()
    return extension, len(await extension.get_node_list())
before, started = set(sys.modules), time.process_time()
spec = importlib.util.spec_from_file_location("magi_pack", "__init__.py", submodule_search_locations=["."])
sys.modules["magi_pack"] = pack = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
extension, nodes = asyncio.run(entry(pack))
seconds = time.process_time() - started
new = libraries(sys.modules) - libraries(before) - set(sys.stdlib_module_names)
print(json.dumps({{"seconds": seconds, "new": sorted(new), "refused": refused, "nodes": nodes}}))
"""


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Starts one after another; the first also compiles the pack, as after an installation."""
    env = os.environ | {"PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("compiled"))}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return [_start(env, str(tmp_path_factory.mktemp("comfyui"))) for _ in range(1 + RUNS)]


def test_importing_the_pack_is_quick(starts: list[dict[str, Any]]) -> None:
    seconds = [start["seconds"] for start in starts[1:]]
    assert min(seconds) <= MOST, seconds


def test_importing_the_pack_brings_no_library_that_comfyui_has_not_imported(starts: list[dict[str, Any]]) -> None:
    """transformers, beautifulsoup4, ftfy, sentencepiece and so on wait until a node needs them."""
    ours = {"magi_pack", "magi_core"}
    stand_ins = {path.stem for path in (REPOSITORY / "tests" / "comfy_stub").iterdir()}
    for start in starts:
        assert set(start["new"]) - stand_ins == ours


def test_importing_the_pack_opens_no_connection(starts: list[dict[str, Any]]) -> None:
    for start in starts:
        assert start["nodes"] > 10 and start["refused"] == []


def _start(env: dict[str, str], folder: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", START, folder], cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
