"""Where small things are kept from one start of ComfyUI to the next: in its user folder, out of reach of its routes."""

from __future__ import annotations

from pathlib import Path

import folder_paths

NAME = "magi"


def kept_in(*parts: str) -> Path:
    """A folder or file below ours; nothing is made."""
    get = getattr(folder_paths, "get_system_user_directory", None)  # not in older ComfyUI
    folder = Path(folder_paths.get_user_directory()) / f"__{NAME}" if get is None else Path(get(NAME))
    return folder.joinpath(*parts)
