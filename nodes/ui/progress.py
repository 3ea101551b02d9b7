"""Progress on the node, text under it. Pictures are the desk's."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

import comfy.utils

from magi_core.errors import printable

from ..host.page import show_text

if TYPE_CHECKING:
    from magi_core.sampling.events import Stepped


class StepProgress:
    """Reports the steps of a run: a bar, chunk and step in words, and what steps have shown that is worth telling.

    below: a line that stays under the words.
    """

    def __init__(self, node_id: str | None, *, below: str = "") -> None:
        self.node_id, self.below = node_id, below
        self._told: tuple[str, ...] = ()
        self._bar: comfy.utils.ProgressBar | None = None

    def __call__(self, event: Stepped) -> None:
        self._bar = self._bar or comfy.utils.ProgressBar(event.steps, node_id=self.node_id)
        self._bar.update_absolute(event.step, event.steps)
        chunk = min(event.done + 1, event.chunks)
        words = f"chunk {chunk} of {event.chunks}, step {event.step} of {event.steps}"
        self._told += event.notes
        *before, last = filter(None, (words, *self._told, self.below))
        show(self.node_id, *(f"{line} ·" for line in before), last)  # Nodes 2.0 makes one line of all


def show(node_id: str | None, *lines: str) -> None:
    """Text on the node; empty lines are left out."""
    if node_id is not None:
        show_text(node_id, printable("\n".join(filter(None, lines))))


def show_notes(node_id: str | None, notes: Iterable[str], below: str = "") -> None:
    """What was done to the user's input ("prompt cut to 800 tokens"): on the node, and in the log.

    below: a line that is on the node already and stays; by itself where there are no notes, without the last step.
    """
    lines = list(notes)
    for line in lines:
        logging.info("MAGI: %s", printable(line))
    if lines or below:
        show(node_id, *lines, below)
