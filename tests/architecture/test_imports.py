"""The checker of the floors sees every way to import, and lets none pass that goes up."""

from __future__ import annotations

import pytest

from tests.architecture.floors import COMFYUI, circles, outside, room, upward
from tests.architecture.imports import Import, imports_of

ENGINE = "magi_core/sampling/loop.py"
WAYS = {
    "import": "import magi_core.engine",
    "import as": "import torch, magi_core.engine as engine",
    "from the root": "from magi_core import engine",
    "from the module": "from magi_core.engine import Engine",
    "from the door": "from magi_core import Engine",
    "the door itself": "import magi_core",
    "relative": "from ..engine import Engine",
    "relative to the root": "from .. import engine",
    "in a function": "def run():\n    if True:\n        from magi_core.engine import Engine",
    "in a method": "class Run:\n    def go(self):\n        import magi_core.engine",
    "for type checkers": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from magi_core.engine import Engine",
    "where it may fail": "try:\n    from magi_core.engine import Engine\nexcept ImportError:\n    pass",
    "by name": "import importlib\nengine = importlib.import_module('magi_core.engine')",
    "by a bare name": "from importlib import import_module\ndef late():\n    return import_module('magi_core.engine')",
}


@pytest.mark.parametrize("source", WAYS.values(), ids=list(WAYS))
def test_no_way_to_import_what_is_above_is_missed(source: str) -> None:
    assert [line for line in upward(imports_of(source, ENGINE)) if "magi_core" in line.partition("imports")[2]]


@pytest.mark.parametrize(
    "source",
    [
        "import torch",
        "from magi_core.cache.page_pool import PagePool",
        "from magi_core.sampling import window",
        "from . import window",
        "from .window import plan_stage",
        "from ..dit import model",
        "from magi_core import config",
        "'import magi_core.engine'  # a string",
    ],
)
def test_what_goes_down_or_stays_in_the_room_passes(source: str) -> None:
    assert upward(imports_of(source, ENGINE)) == []


def test_a_violation_is_named_with_its_line() -> None:
    found = upward(imports_of("import torch\n\nfrom ..engine import Engine\n", ENGINE))
    assert found == ["magi_core/sampling/loop.py:3: magi_core.sampling.loop imports magi_core.engine.Engine"]


def test_leading_dots_count_from_the_package_of_the_file() -> None:
    assert _targets("from . import loop", "magi_core/sampling/__init__.py") == ["magi_core.sampling.loop"]
    assert _targets("from .loop import Run", "magi_core/sampling/__init__.py") == ["magi_core.sampling.loop.Run"]
    assert _targets("from ... import nodes", "magi_core/sampling/loop.py") == ["nodes"]
    assert _targets("from ..wires import State", "nodes/ui/widgets.py") == ["nodes.wires.State"]


def test_rooms() -> None:
    assert [room(name) for name in ("magi_core.dit.model.DiT", "magi_core.errors", "magi_core.load", "magi_core")] == [
        "dit",
        "errors",
        "__init__",
        "__init__",
    ]
    assert room("torch.nn") is room("magi_core_extras.dit") is None


def test_circles_are_found_once_and_along_their_way() -> None:
    def imports(here: str, *there: str) -> list[Import]:
        return imports_of("\n".join(f"import magi_core.{name}.x" for name in there), f"magi_core/{here}/x.py")

    found = imports("state", "story", "config") + imports("story", "text", "state") + imports("text", "vae")
    assert circles(found) == ["story -> state -> story"]
    found += imports("vae", "state")
    assert circles(found) == ["vae -> state -> story -> text -> vae", "story -> state -> story"]
    assert circles(imports("state", "story") + imports("story", "text")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import comfy.model_management",
        "from comfy import ops",
        "def late():\n    import folder_paths",
        "from server import PromptServer",
        "from comfy_api.latest import io",
        "try:\n    import nodes\nexcept ImportError:\n    nodes = None",
    ],
)
def test_comfyui_is_known_in_every_guise(source: str) -> None:
    assert outside(imports_of(source, ENGINE), COMFYUI)
    assert not outside(imports_of("from magi_core.dit import nodes, comfy", ENGINE), COMFYUI)


def _targets(source: str, file: str) -> list[str]:
    return [found.target for found in imports_of(source, file)]
