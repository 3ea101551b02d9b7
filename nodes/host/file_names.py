"""File names with places to fill in, such as `%date:yyyy-MM-dd%`: in the frontend only its own nodes have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from magi_core.errors import MagiError, echo
from magi_core.video.output_path import FORBIDDEN

_PLACE = re.compile(r"%(date:[^%]{1,100}|[^%/\\]{1,100})%")
_DATE = re.compile("d{1,2}|M{1,2}|h{1,2}|H{1,2}|m{1,2}|s{1,2}|yyy?y?")
_KNOWN = "%date:yyyy-MM-dd%, %year%, %month%, %day%, %hour%, %minute%, %second%, %width%, %height%, %Node.widget%"


def resolved(name: str, *, width: int, height: int, graph: Mapping[str, Any], now: datetime | None = None) -> str:
    """`name` with every %place% filled in; `MagiError` for one that means nothing.

    graph: in the API's format; `%Node.widget%` is looked up by a node's title, its class or its id.
    """
    now = now or datetime.now()
    fixed = {"width": f"{width}", "height": f"{height}", "year": f"{now:%Y}", "month": f"{now:%m}", "day": f"{now:%d}"}
    fixed |= {"hour": f"{now:%H}", "minute": f"{now:%M}", "second": f"{now:%S}", "batch_num": "0"}

    def value(place: re.Match[str]) -> str:
        said = place[1]
        if said in fixed:
            return fixed[said]
        if said == "date" or said.startswith("date:"):
            return _date(said.partition(":")[2] or "yyyy-MM-dd", now)
        widget = _widget(said, graph)
        if widget is None:
            raise MagiError(f"{echo(place[0])} in a file name means nothing; known are {_KNOWN}")
        return FORBIDDEN.sub("_", re.sub(r"[/\\]", "_", widget))

    return _PLACE.sub(value, name)


def _date(form: str, now: datetime) -> str:
    """As the frontend writes dates: yyyy, yy, MM, M, dd, d, hh, h, mm, m, ss, s."""
    parts = {"d": now.day, "M": now.month, "h": now.hour, "H": now.hour, "m": now.minute, "s": now.second}

    def part(found: re.Match[str]) -> str:
        letters = found[0]
        if letters[0] == "y":
            return f"{now.year}"[2:] if letters == "yy" else f"{now.year}"
        return str(parts[letters[0]]).zfill(len(letters))

    return FORBIDDEN.sub("-", _DATE.sub(part, form))  # a slash makes folders, as in the frontend's own nodes


def _widget(said: str, graph: Mapping[str, Any]) -> str | None:
    """The value of "Node.widget" in the graph, if it is typed there."""
    node_name, dot, widget = said.rpartition(".")
    for node_id, node in graph.items():
        names = {str(node_id), node.get("class_type"), (node.get("_meta") or {}).get("title")}
        value = (node.get("inputs") or {}).get(widget)
        if dot and node_name in names and isinstance(value, str | int | float):
            return str(value)
    return None
