"""Files that ComfyUI's own loaders read, by the names on their widgets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import folder_paths


def input_file(name: Any) -> Path | None:
    """A regular file in ComfyUI's input, output or temporary folder; None for any other name."""
    if not isinstance(name, str):
        return None
    try:
        path = Path(os.path.realpath(folder_paths.get_annotated_filepath(name)))
        roots = (folder_paths.get_input_directory, folder_paths.get_output_directory, folder_paths.get_temp_directory)
        inside = any(path.is_relative_to(os.path.realpath(root())) for root in roots)
        return path if inside and path.is_file() else None
    except (OSError, ValueError):
        return None
