"""Progress on the node, text under it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import comfy.utils

from magi_core.errors import printable

from ..host.page import show_text

if TYPE_CHECKING:
    from PIL.Image import Image

    from magi_core.sampling.events import Stepped

PICTURE_SIDE = 512  # pixels on the node


class StepProgress:
    """Reports the steps of a run: a bar, chunk and step in words, now and then a picture of what is coming.

    below: a line that stays under the words. still: makes the picture, or None where it is not time for one.
    """

    def __init__(
        self, node_id: str | None, *, below: str = "", still: Callable[[Stepped], Image | None] = lambda event: None
    ) -> None:
        self.node_id, self.below, self.still = node_id, below, still
        self._bar: comfy.utils.ProgressBar | None = None

    def __call__(self, event: Stepped) -> None:
        self._bar = self._bar or comfy.utils.ProgressBar(event.steps, node_id=self.node_id)
        picture = self.still(event)
        preview = None if picture is None else ("JPEG", picture, PICTURE_SIDE)
        self._bar.update_absolute(event.step, event.steps, preview)
        chunk = min(event.done + 1, event.chunks)
        words = f"chunk {chunk} of {event.chunks}, step {event.step} of {event.steps}"
        show(self.node_id, f"{words} ·" if self.below else words, self.below)  # Nodes 2.0 makes one line of both


def show(node_id: str | None, *lines: str) -> None:
    """Text on the node; empty lines are left out."""
    if node_id is not None:
        show_text(node_id, printable("\n".join(filter(None, lines))))


def show_notes(node_id: str | None, notes: Iterable[str], below: str = "") -> None:
    """What was done to the user's input ("prompt cut to 800 tokens"): on the node, and in the log.

    below: a line that is on the node already and stays.
    """
    lines = list(notes)
    for line in lines:
        logging.info("MAGI: %s", printable(line))
    if lines:
        show(node_id, *lines, below)
