"""ComfyUI entry point: registers the MAGI nodes, their help pages and the model folder."""

import importlib.util
import sys
from pathlib import Path

WEB_DIRECTORY = "./js"


def _use_bundled_engine() -> None:
    """Let `import magi_core` find the copy beside this file, without putting the folder on `sys.path`.

    The folder holds names (`nodes`, `tests`) that belong to ComfyUI there.
    """
    if "magi_core" in sys.modules:
        return
    folder = Path(__file__).parent / "magi_core"
    spec = importlib.util.spec_from_file_location(
        "magi_core", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["magi_core"] = module
    spec.loader.exec_module(module)


async def comfy_entrypoint():
    """Called once by ComfyUI (0.22 or newer) at start."""
    _use_bundled_engine()
    from .nodes import MagiExtension

    return MagiExtension()
