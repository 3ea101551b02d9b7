"""`Magi Load State`: a saved take, to go on with."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from magi_core.engine import Engine
from magi_core.state import load_state
from magi_core.state.describe import describe, rest_in_words
from magi_core.state.files import take_fingerprint
from magi_core.state.save import check_is_take

from .host.take_folder import SAVED, listed_takes, take_path
from .ui.checks import Checked
from .ui.progress import show, show_notes
from .wires import CATEGORY, HeldState, Model, State


def _check_take(take: str) -> None:
    if take in listed_takes():  # ComfyUI says so of others
        check_is_take(take_path(take))


class MagiLoadState(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiLoadState",
            display_name="Magi Load State",
            category=CATEGORY,
            description="Loads a video in progress that was saved by Magi Save State, by autosave or on the command "
            "line, to go on with it. What a crashed run left is found as well.",
            search_aliases=["magi load", "load take", "resume", "load latent video", "continue"],
            inputs=[
                io.Combo.Input(
                    "take",
                    options=listed_takes(),
                    tooltip=f"Takes in output/{SAVED} and in ComfyUI's input folder, newest first. Press R to refresh "
                    "the list.",
                ),
                Model.Input(
                    "model",
                    optional=True,
                    tooltip="Optional: the model that will go on. The node then says in what it is other than the one "
                    "the take was made with.",
                ),
            ],
            outputs=[
                State.Output(display_name="state", tooltip="The video as it was saved, for any node that takes one.")
            ],
            hidden=[io.Hidden.unique_id],
        )

    validate_inputs = classmethod(Checked("MagiLoadState", {"take": _check_take}))

    @classmethod
    def fingerprint_inputs(cls, take: str, **_: Any) -> str:
        return take_fingerprint(take_path(take))

    @classmethod
    def execute(cls, take: str, model: Engine | None = None) -> io.NodeOutput:
        state = load_state(take_path(take))
        differs = () if model is None else model.differences(state)
        warning = [f"not the model of this take: {'; '.join(differs)}"] if differs else []
        about = describe(state, take)[0]
        show(cls.hidden.unique_id, about)
        show_notes(cls.hidden.unique_id, [*warning, *rest_in_words(state)], about)
        return io.NodeOutput(HeldState.of(state))
