"""What can be known before a run is said when the graph is queued: once, at the widget that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from inspect import getfullargspec
from typing import Any

import pytest

SAMPLER = {"width": 128, "height": 128, "steps": 4, "window": 4, "kv_ranges": "5, 4, 3, 2", "clean_kv_range": 1}
SECOND = SAMPLER | {"strength": 0.5, "fit": "crop", "autosave": "", "seed": -1, "model": ["9", 0], "state": ["7", 0]}
RETOUCH = {"first": 2, "last": 3, "join": 1, "strength": 0.5, "reroll": 1, "autosave": "", "state": ["7", 0]}
NO_STATE = {name: value for name, value in SECOND.items() if name != "state"}
SAMPLER |= {"seconds": 0.0, "autosave": "", "seed": 0, "model": ["9", 0], "conditioning": ["8", 0]}


@pytest.fixture
def queue(nodes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[tuple[str, str], str]]:
    """`queue({"1": ("MagiExtend", {...})})`: what ComfyUI would show, by node and argument.

    As ComfyUI does it: arguments are named by the signature; linked ones arrive as None; the answer goes to each.
    """
    import server
    from comfy_execution import utils

    def validate(graph: dict[str, tuple[str, dict[str, Any]]]) -> dict[tuple[str, str], str]:
        request = {"prompt": {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in graph.items()}}
        for handler in server.PromptServer.instance.on_prompt_handlers:
            request = handler(request)
        shown = {}
        for key, (kind, inputs) in graph.items():
            context = utils.ExecutionContext("prompt", key, None)
            for module in [m for n, m in __import__("sys").modules.items() if n.endswith("nodes.host.queued")]:
                monkeypatch.setattr(module, "get_executing_context", lambda context=context: context)
            named = getfullargspec(nodes[kind].validate_inputs).args[1:]
            given = {name: None if isinstance(inputs[name], list) else inputs[name] for name in named if name in inputs}
            answer = nodes[kind].validate_inputs(**given)
            shown |= {(key, name): answer for name in given if answer is not True}
        return shown

    return lambda graph: copy_context().run(validate, graph)


@pytest.mark.parametrize(
    ("argument", "value", "sentence"),
    [
        ("width", 725, "width must be a multiple of 16: 725 -> use 720 or 736"),
        ("height", 8, "height must be a multiple of 16: 8 -> use 16"),
        ("steps", 6, "steps must be a multiple of the window"),
        ("kv_ranges", "many", "kv_ranges must be whole numbers"),
        ("kv_ranges", "5, 0", "every KV range counts the chunk itself"),
        ("clean_kv_range", 0, "the clean KV range must be at least 1"),
        ("seconds", float("nan"), "seconds must be a number"),
        ("autosave", "../take", "takes are saved in output/magi"),
        ("autosave", "take %nonsense%", "'%nonsense%' in a file name means nothing"),
        ("autosave", "x" * 300, "a file name is too long"),
    ],
)
def test_a_fault_of_the_sampler_is_one_error_at_its_widget(queue, argument, value, sentence) -> None:
    shown = queue({"1": ("MagiChunkSampler", SAMPLER), "2": ("MagiChunkSampler", SAMPLER | {argument: value})})
    assert list(shown) == [("2", argument)]
    assert sentence in shown["2", argument]


def test_what_is_right_or_not_known_yet_passes(queue) -> None:
    linked = dict.fromkeys(("width", "steps", "kv_ranges", "autosave"), ["7", 0])
    own = {"width": 0, "height": 0, "steps": 0, "autosave": "%date:yyyy-MM-dd% %width%x%height%"}
    graph = {"1": SAMPLER, "2": SAMPLER | linked, "3": SAMPLER | own, "4": SAMPLER | {"width": 725, "prefix": ["6", 0]}}
    assert queue({key: ("MagiChunkSampler", inputs) for key, inputs in graph.items()}) == {}


def test_a_range_that_comfyui_leaves_to_us_is_checked_by_us(queue) -> None:
    graph = {"1": ("MagiChunkSampler", SAMPLER | {"width": 725}), "2": ("MagiChunkSampler", SAMPLER | {"width": 9008})}
    assert queue(graph)["2", "width"] == "width must be from 0 to 8192: 9008"


def test_one_mistake_in_a_storyboard_is_one_error_on_its_text(queue) -> None:
    inputs = {"text": "0: a\n1 [new_shot: b", "fps": 24.0, "clean": True, "text_encoder": ["5", 0]}
    shown = queue({"1": ("MagiStoryboard", inputs)})
    assert list(shown) == [("1", "text")] and shown["1", "text"].startswith("line 2: a bracket is not closed")


@pytest.mark.parametrize(
    ("node", "inputs", "argument", "sentence"),
    [
        ("MagiSaveState", {"filename_prefix": "a?b", "all_frontiers": False}, "filename_prefix", "use 'a-b'"),
        ("MagiSaveState", {"filename_prefix": "a", "all_frontiers": True}, "all_frontiers", "needs the model"),
        ("MagiDecodeToFile", {"filename_prefix": "../a"}, "filename_prefix", "output folder"),
        ("MagiExtend", {"autosave": "con", "seconds": 0.0}, "autosave", "is a device on Windows"),
        ("MagiSecondPass", SECOND | {"strength": float("nan")}, "strength", "a strength is a number from 0"),
        ("MagiSecondPass", SECOND | {"strength": 1.5}, "strength", "to 1, all is made anew: 1.5"),
        ("MagiSecondPass", SECOND | {"width": 725}, "width", "720 or 736"),
        ("MagiSecondPass", SECOND | {"steps": 6}, "steps", "multiple of the window"),
        ("MagiSecondPass", SECOND | {"autosave": "../a"}, "autosave", "takes are saved in output/magi"),
        ("MagiSecondPass", SECOND | {"video": ["6", 0]}, "state", "connect one source"),
        ("MagiSecondPass", SECOND | {"images": ["6", 0], "vae": ["5", 0]}, "state", "connect one source"),
        ("MagiSecondPass", NO_STATE | {"video": ["6", 0]}, "video", "connect vae, from Magi Load VAE"),
        ("MagiSecondPass", NO_STATE | {"images": ["6", 0]}, "images", "connect vae, from Magi Load VAE"),
        ("MagiSecondPass", NO_STATE, "fit", "connect what is made again"),
        ("MagiRetouch", RETOUCH | {"last": 1}, "last", "cannot retouch chunks 2 to 1"),
        ("MagiRetouch", RETOUCH | {"join": 3}, "join", "3 -> use 2 or less"),
        ("MagiRetouch", RETOUCH | {"strength": -1}, "strength", "a strength is a number from 0"),
        ("MagiRetouch", RETOUCH | {"autosave": "con"}, "autosave", "is a device on Windows"),
        ("MagiVAEEncode", {"width": 725, "height": 0, "fit": "crop", "image": ["1", 0]}, "width", "720 or 736"),
        ("MagiVAEEncode", {"width": 0, "height": 0, "fit": "crop"}, "fit", "connect an image or a video"),
        (
            "MagiVAEEncode",
            {"width": 0, "height": 0, "fit": "crop", "image": ["1", 0], "video": ["2", 0]},
            "image",
            "not both",
        ),
        ("MagiTextEncode", {"prompt": "a" * 60_000}, "prompt", "at most 50,000 characters"),
        ("MagiLoadModel", {"model": "nano", "variant": "distil"}, "model", "nano is a base model"),
    ],
)
def test_every_node_says_at_once_what_would_fail_later(queue, node, inputs, argument, sentence) -> None:
    shown = queue({"3": (node, inputs)})
    assert list(shown) == [("3", argument)] and sentence in shown["3", argument]


def test_a_file_that_is_no_take_is_said_before_the_run_with_what_it_is(nodes, queue) -> None:
    from pathlib import Path

    import folder_paths

    path = Path(folder_paths.get_input_directory()) / "clip.magi"
    path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    try:
        shown = queue({"1": ("MagiLoadState", {"take": "clip.magi [input]"})})
    finally:
        path.unlink()
    assert "is a video (mp4 or mov), not a saved take: choose a file written by" in shown["1", "take"]


def test_the_same_is_said_by_a_node_that_gets_it_from_another(run, engine, prompt) -> None:
    from magi_core.errors import MagiError

    with pytest.raises(MagiError, match="kv_ranges must be whole numbers"):
        run("MagiChunkSampler", model=engine, conditioning=prompt("red"), kv_ranges="many")
    with pytest.raises(MagiError, match="width must be a multiple of 16"):
        run("MagiChunkSampler", model=engine, conditioning=prompt("red"), width=725)


def test_a_name_with_places_is_filled_in(part) -> None:
    from datetime import datetime

    resolved = part("host.file_names").resolved
    graph = {"4": {"class_type": "KSampler", "inputs": {"seed": 7, "name": "a/b:c"}, "_meta": {"title": "My sampler"}}}
    now = datetime(2026, 3, 4, 5, 6, 7)

    def name(text: str) -> str:
        return resolved(text, width=640, height=480, graph=graph, now=now)

    assert name("%date:yyyy-MM-dd%/%width%x%height%") == "2026-03-04/640x480"
    assert name("%date:yy-M-d_hh.mm.ss% %year%%month%%day%") == "26-3-4_05.06.07 20260304"
    assert name("%My sampler.seed% %KSampler.seed% %4.name%") == "7 7 a_b_c"
    assert name("100% red") == "100% red"
