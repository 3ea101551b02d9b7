"""The image, the video and the take that example workflows start from, put where the loading nodes look."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import folder_paths

from magi_core.errors import printable

ASSETS = Path(__file__).parents[2] / "workflows" / "assets"


def offer_example_inputs() -> None:
    """Copy the small files into ComfyUI's input folder, unless files of these names are there."""
    folder = Path(folder_paths.get_input_directory())
    for source in (path for path in ASSETS.glob("magi_example_*") if not (folder / path.name).exists()):
        try:
            shutil.copyfile(source, folder / source.name)
        except OSError as error:
            logging.warning("MAGI: the example workflows will miss %s (%s)", source.name, printable(error))
