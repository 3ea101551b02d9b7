"""Ways for links around nodes: along free lanes, with corners that become reroutes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom

CLEAR = 20  # pixels between a lane and a node
APART = 12  # pixels between two lanes
STEP = 4
NEAR, FAR = 22, 70  # pixels from a socket to the corner before or after it
BEYOND = 160  # pixels that lanes may lie outside of the graph


@dataclass(frozen=True)
class Link:
    """From an output to an input, where their sockets are. Links of one output share their way."""

    output: str
    input: str
    start: Point
    end: Point


@dataclass
class Router:
    """Finds ways among boxes, and not along titles; lanes that were given to one output are not given to another."""

    boxes: list[Box]
    titles: list[Box] = field(default_factory=list)
    taken: list[tuple[str, Box]] = field(default_factory=list)

    def ways(self, links: Iterable[Link]) -> dict[str, list[Point]]:
        """Corners by input, in order; a link that runs behind no node as it is has none."""
        blocked = [link for link in links if not self._sees(link.start, link.end)]
        together: dict[tuple[str, bool], list[Link]] = {}
        for link in blocked:
            together.setdefault((link.output, link.end[0] > link.start[0]), []).append(link)
        ways: dict[str, list[Point]] = {}
        for (_, forward), group in sorted(together.items(), key=lambda entry: _length(entry[1])):
            group.sort(key=lambda link: (link.end[0] if forward else -link.end[0], link.end[1]))
            ways |= self._bus(group)
        return ways

    def _bus(self, links: list[Link]) -> dict[str, list[Point]]:
        """One lane for all of `links`, or one for each where there is none for all."""
        output, y = links[0].output, links[0].start[1]
        top, bottom = min(box[1] for box in self.boxes) - BEYOND, max(box[3] for box in self.boxes) + BEYOND
        best: tuple[float, list[float], float] | None = None
        for lane in range(int(top), int(bottom), STEP):
            length = abs(lane - y) + sum(abs(lane - link.end[1]) for link in links)
            if best is None or length < best[0]:
                columns = self._columns(links, lane)
                if columns is not None:
                    best = length, columns, lane
        if best is None:
            if len(links) == 1:
                raise ValueError(f"no way from {output} to {links[0].input}")
            return {key: way for link in links for key, way in self._bus([link]).items()}
        _, (first, *drops), lane = best
        self._take(output, (first, y), (first, lane), (drops[-1], lane))
        ways, corners = {}, [(first, float(lane))]
        for link, drop in zip(links, drops, strict=True):
            if corners[-1] != (drop, lane):
                corners = [*corners, (drop, float(lane))]
            self._take(output, (drop, lane), (drop, link.end[1]), link.end)
            ways[link.input] = list(corners)
        return ways

    def _columns(self, links: list[Link], lane: float) -> list[float] | None:
        """Where to leave for the lane, and where to leave it for each link."""
        output, (x, y) = links[0].output, links[0].start
        found: list[float] = []
        for socket, way in [((x, y), 1), *((link.end, -1) for link in links)]:
            places = (socket[0] + way * offset for offset in range(NEAR, FAR, STEP))
            place = next((at for at in places if self._free(output, (at, socket[1]), (at, lane))), None)
            if place is None:
                return None
            found.append(place)
        return found if self._free(output, (found[0], lane), (found[-1], lane)) else None

    def _free(self, output: str, a: Point, b: Point) -> bool:
        box = _around(a, b)
        others = (taken for owner, taken in self.taken if owner != output and _upright(taken) == _upright(box))
        along = not _upright(box) and _hits(box, self.titles, 0)
        return not (along or _hits(box, self.boxes, CLEAR) or _hits(box, others, APART))

    def _take(self, output: str, *corners: Point) -> None:
        self.taken += [(output, _around(a, b)) for a, b in zip(corners, corners[1:], strict=False)]

    def _sees(self, start: Point, end: Point) -> bool:
        """Whether the curve that the frontend draws from socket to socket runs behind no node."""
        points = [point for point in _curve(start, end) if min(math.dist(point, start), math.dist(point, end)) > NEAR]
        return not any(_hits((*point, *point), self.boxes, 4) for point in points)


def _curve(start: Point, end: Point) -> Iterator[Point]:
    """Points of the spline, which leaves and arrives horizontally, pulled by a quarter of the distance."""
    pull = 0.25 * math.dist(start, end)
    for i in range(101):
        t = i / 100
        a, b, c, d = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3
        x = a * start[0] + b * (start[0] + pull) + c * (end[0] - pull) + d * end[0]
        yield x, (a + b) * start[1] + (c + d) * end[1]


def _around(a: Point, b: Point) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])


def _upright(lane: Box) -> bool:
    return lane[0] == lane[2]


def _hits(box: Box, boxes: Iterable[Box], margin: float) -> bool:
    left, top, right, bottom = box
    return any(
        left < r + margin and right > x - margin and top < b + margin and bottom > y - margin for x, y, r, b in boxes
    )


def _length(links: list[Link]) -> float:
    return max(math.dist(link.start, link.end) for link in links)
