"""The image, the video and the take that example workflows start from, put where the loading nodes look."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import folder_paths

from magi_core.errors import MagiError, printable
from magi_core.writing.replacing import replacing

ASSETS = Path(__file__).parents[2] / "workflows" / "assets"


def offer_example_inputs() -> None:
    """Copy the small files into ComfyUI's input folder, unless files of these names are there."""
    folder = Path(folder_paths.get_input_directory())
    for source in (path for path in ASSETS.glob("magi_example_*") if not (folder / path.name).exists()):
        try:
            with replacing(folder / source.name, "the example") as part:
                shutil.copyfile(source, part)
        except MagiError as error:
            logging.warning("MAGI: the example workflows will miss %s (%s)", source.name, printable(error))
