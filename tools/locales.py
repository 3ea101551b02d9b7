"""Write the English texts of `locales/en` from the nodes' schemas: `python -m tools.locales`.

Other languages are written by hand, entry for entry the same; `tests/nodes/test_locales.py` holds all of them to it.
Shape of `nodeDefs.json`: what ComfyUI's frontend looks up, `nodeDefs.<node>.inputs.<id>.name` and so on.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCALES = ROOT / "locales"
PACK = "/custom_nodes/magi_locales"  # ComfyUI names packs by their path


def node_texts(schemas: Iterable[Any]) -> dict[str, Any]:
    """All texts of the nodes as `nodeDefs.json` holds them, in the order of the schemas."""
    return {schema.node_id: _texts(schema) for schema in schemas}


def categories(schemas: Iterable[Any]) -> dict[str, Any]:
    """The folders of the node menu as `main.json` holds them."""
    parts = {part: part for schema in schemas for part in schema.category.split("/")}
    return {"nodeCategories": parts}


def read(language: str, name: str) -> dict[str, Any]:
    return json.loads((LOCALES / language / name).read_text(encoding="utf-8"))


def _texts(schema: Any) -> dict[str, Any]:
    inputs = {i.id: {"name": i.display_name or i.id, "tooltip": i.tooltip} for i in schema.inputs}
    outputs = {str(n): {"name": o.display_name, "tooltip": o.tooltip} for n, o in enumerate(schema.outputs)}
    about = {"display_name": schema.display_name, "description": schema.description}
    return about | {"inputs": inputs, "outputs": outputs}


def _schemas() -> list[Any]:
    """The schemas of the pack's nodes, loaded against the tests' stand-in for ComfyUI."""
    sys.path.insert(0, str(ROOT / "tests" / "comfy_stub"))
    import folder_paths

    for name in ("models_dir", "input_directory", "output_directory"):
        setattr(folder_paths, name, str(ROOT / "no such folder"))
    spec = importlib.util.spec_from_file_location(PACK, ROOT / "__init__.py")
    pack = importlib.util.module_from_spec(spec)
    sys.modules[PACK] = pack
    spec.loader.exec_module(pack)
    extension = asyncio.run(pack.comfy_entrypoint())
    sys.modules[f"{PACK}.nodes.host.model_folder"].register_model_folder()
    return [node.define_schema() for node in asyncio.run(extension.get_node_list())]


def _write(name: str, texts: dict[str, Any]) -> None:
    path = LOCALES / "en" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(texts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    schemas = _schemas()
    _write("nodeDefs.json", node_texts(schemas))
    _write("main.json", categories(schemas))


if __name__ == "__main__":
    main()
