"""Where a look for models goes: folders below the one given, and places around a transformer for its other parts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from magi_core.weights.shards import GGUF, WEIGHT_SUFFIXES

DEPTH = 8  # folders below the one given; a Hugging Face cache needs seven
LEVELS_UP = 3  # folders above the transformer's (and above the one given) that may hold the VAE and the text encoder
SKIPPED = {"blobs", "refs", "node_modules", "__pycache__"}
VAE_PLACES = ("", "vae", "ckpt/vae")
T5_PARENTS = ("", "t5", "t5_pretrained", "text_encoder", "ckpt/t5")
T5_PLACES = tuple(place for parent in T5_PARENTS for place in (parent, f"{parent}/t5-v1_1-xxl".lstrip("/")))
PARTS = tuple(dict.fromkeys([*VAE_PLACES, *T5_PLACES]))
TOKENIZER_FILES = ("spiece.model", "tokenizer.json")  # official, and as transformers writes it
TOKEN_PLACES = tuple(
    f"{place}special_tokens.npz" for place in ("", "assets/", "example/assets/", "t5/", "t5_pretrained/")
)
READ = (*WEIGHT_SUFFIXES, GGUF, ".json", *(Path(name).suffix for name in TOKENIZER_FILES))


def walked(top: Path) -> Iterator[tuple[Path, list[str]]]:
    """Folders at or below `top` with the names of their files, each once, however many links lead to it."""
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(top, followlinks=True):
        here, about = Path(place), os.stat(place)
        if (about.st_dev, about.st_ino) in seen:
            folders[:] = []
            continue
        seen.add((about.st_dev, about.st_ino))
        depth = len(here.relative_to(top).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in SKIPPED) if depth < DEPTH else []
        yield here, names


def around(dit: Path, given: Path) -> list[Path]:
    """Folders that may hold the other parts, nearest to the transformer first."""
    start = dit.parent if dit.is_file() else dit
    top = given if given.is_dir() else given.parent
    places = [start, *list(start.parents)[:LEVELS_UP], top, *list(top.parents)[:LEVELS_UP]]
    return list(dict.fromkeys(places))


def looked_at(given: Path) -> Iterator[str]:
    """All files and folders that decide which models are found at or below `given`, and which parts around them.

    In an order of their own; some are not there. Folders above are looked at where names of parts lead only: what else
    lies in a home folder changes all the time.
    """
    below = {str(folder): names for folder, names in walked(given)} if given.is_dir() else {}
    for folder, names in below.items():
        yield folder
        yield from _read_in(folder, names)
    top = given if below else given.parent
    if not below:
        yield str(given)
    near = [top.parent] if below else [top, top.parent]
    for place in map(str, near):  # what a transformer is may be said in its folder and in the one around it
        yield from _read_in(place, _names(place))
    for place in [*below, *map(str, [top, *top.parents[:LEVELS_UP]])]:
        yield from (os.path.join(place, file) for file in TOKEN_PLACES)
        for folder in (os.path.join(place, name) if name else place for name in PARTS):
            if os.path.exists(os.path.join(folder, "config.json")):
                if folder not in below:
                    yield from _read_in(folder, _names(folder))
                yield from (os.path.join(os.path.dirname(folder), "tokenizer", file) for file in TOKENIZER_FILES)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _read_in(folder: str, names: Iterable[str]) -> Iterator[str]:
    return (os.path.join(folder, name) for name in sorted(names) if name.lower().endswith(READ))
