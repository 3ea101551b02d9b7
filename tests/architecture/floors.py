"""The floors of `magi_core`, from the ground up, and what goes against them."""

from __future__ import annotations

from collections.abc import Iterable

from tests.architecture.imports import Import

FLOORS = (
    "errors",
    "inputs",
    "writing",
    "config",
    "digest",
    "device",
    "host_memory",
    "host",
    "kernels",
    "attention",
    "operations",
    "dit",
    "budget",
    "weights",
    "video",
    "vae",
    "text",
    "story",
    "state",
    "cache",
    "sampling",
    "parallel",
    "engine",
    "loading",
    "__init__",
    "cli",
    "__main__",
)
"""Modules and packages of `magi_core`: each may import those before it, and itself."""

COMFYUI = {
    "api_server",
    "app",
    "comfy",
    "comfy_aimdo",
    "comfy_api",
    "comfy_api_nodes",
    "comfy_config",
    "comfy_execution",
    "comfy_extras",
    "comfy_kitchen",
    "execution",
    "folder_paths",
    "latent_preview",
    "middleware",
    "node_helpers",
    "nodes",
    "protocol",
    "server",
    "utils",
}
"""Names at the top of ComfyUI's tree, and of packages that are made for it."""


def room(name: str) -> str | None:
    """The floor that a dotted name of `magi_core` stands on. What is no module of a floor belongs to the door,
    `__init__`; what does not begin with `magi_core` has no room."""
    package, _, rest = name.partition(".")
    if package != "magi_core":
        return None
    first = rest.partition(".")[0]
    return first if first in FLOORS else "__init__"


def upward(imports: Iterable[Import]) -> list[str]:
    """Imports that do not go down."""
    return [str(found) for found, here, there in _between_rooms(imports) if FLOORS.index(there) > FLOORS.index(here)]


def circles(imports: Iterable[Import]) -> list[str]:
    """Rooms that import each other, be it by way of others; each circle once, from its lowest room."""
    below: dict[str, set[str]] = {}
    for _, here, there in _between_rooms(imports):
        below.setdefault(here, set()).add(there)

    def ways(way: list[str]) -> Iterable[list[str]]:
        for there in sorted(below.get(way[-1], ())):
            if there == way[0]:
                yield [*way, there]
            elif there not in way and FLOORS.index(there) > FLOORS.index(way[0]):
                yield from ways([*way, there])

    return [" -> ".join(way) for start in FLOORS for way in ways([start])]


def outside(imports: Iterable[Import], forbidden: Iterable[str]) -> list[str]:
    """Imports of packages that are named in `forbidden`."""
    names = set(forbidden)
    return [str(found) for found in imports if found.target.partition(".")[0] in names]


def _between_rooms(imports: Iterable[Import]) -> Iterable[tuple[Import, str, str]]:
    for found in imports:
        here, there = room(found.module), room(found.target)
        if here is not None and there is not None and here != there:
            yield found, here, there
