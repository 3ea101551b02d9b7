"""What can be known before a run is said when the graph is queued: once, at the widget that is wrong."""

from __future__ import annotations

import time
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


BEFORE = {
    "7": ("MagiLoadTextEncoder", {"model": "nano", "dtype": "auto"}),
    "8": ("MagiTextEncode", {"text_encoder": ["7", 0], "prompt": "red", "clean": True}),
    "9": ("MagiLoadModel", {"model": "nano", "variant": "distill", "dtype": "auto", "attention": "auto"}),
}


@pytest.mark.parametrize(
    ("changed", "argument", "sentence"),
    [
        ({"steps": 0, "window": 5, "kv_ranges": "5"}, "steps", "steps must be a multiple of the window"),
        ({"steps": 12, "window": 6}, "steps", "a window of 6 does not fit the 12 steps of a distilled model"),
        ({"steps": 0, "kv_ranges": "5, 4, 3, 2, 1, 1, 1"}, "steps", ""),
        ({"seconds": 0.001}, "conditioning", "0.001 seconds are less than a frame"),
    ],
)
def test_what_does_not_fit_the_model_is_said_before_the_model_is_loaded(queue, changed, argument, sentence) -> None:
    right = {"steps": 0, "window": 4}
    shown = queue({**BEFORE, "1": ("MagiChunkSampler", SAMPLER | right), "2": ("MagiChunkSampler", SAMPLER | changed)})
    assert list(shown) == [("2", argument)]
    assert sentence in shown["2", argument]


def test_tokens_that_a_model_lacks_are_told_before_it_is_loaded(queue, part, monkeypatch) -> None:
    from dataclasses import replace

    look = part("desk.given").unloaded_model
    monkeypatch.setattr(part("desk.given"), "unloaded_model", lambda given: replace(look(given), special_tokens=None))
    plain = {"8": ("MagiTextEncode", BEFORE["8"][1] | {"high_quality": False})}
    sampler = ("MagiChunkSampler", SAMPLER | {"steps": 0, "duration_tokens": False})
    assert "there are none" in queue({**BEFORE, "1": sampler})["1", "conditioning"]
    assert queue({**BEFORE, **plain, "1": sampler}) == {}


def test_ranges_of_a_storyboard_that_do_not_fit_the_steps_are_told_where_it_goes_in(queue) -> None:
    board = {"8": ("MagiStoryboard", {"text_encoder": ["7", 0], "text": "0: a\n1 [ranges 5,4,3]: b", "fps": 24})}
    extend = {"model": ["9", 0], "state": ["1", 0], "conditioning": ["8", 0], "seconds": 0.0, "autosave": ""}
    sampler = SAMPLER | {"steps": 0, "conditioning": ["6", 0]}
    other = {"6": ("MagiTextEncode", BEFORE["8"][1])}
    shown = queue({**BEFORE, **board, **other, "1": ("MagiChunkSampler", sampler), "2": ("MagiExtend", extend)})
    assert list(shown) == [("2", "conditioning")], shown


def test_what_comes_behind_a_sampler_is_checked_against_what_it_will_make(queue, part, monkeypatch) -> None:
    """A chunk that the take will not have, frames that will not fit into memory: before hours of sampling."""
    sampler = ("MagiChunkSampler", SAMPLER | {"steps": 0, "chunks": 3})
    back = {"2": ("MagiRewind", {"state": ["1", 0], "chunks": 4})}
    assert "this take has 3 chunks" in queue({**BEFORE, "1": sampler, **back})["2", "chunks"]
    assert queue({**BEFORE, "1": sampler, "2": ("MagiRewind", {"state": ["1", 0], "chunks": 3})}) == {}
    decode = {"3": ("MagiVAEDecode", {"state": ["1", 0], "vae": ["6", 0]})}
    assert queue({**BEFORE, "1": sampler, **decode}) == {}
    monkeypatch.setattr(part("vae_decode"), "physical_memory", lambda: 10_000_000)
    assert "72 frames of 128x128" in queue({**BEFORE, "1": sampler, **decode})["3", "state"]


def test_chunks_that_a_take_will_not_have_are_not_retouched(queue) -> None:
    sampler = ("MagiChunkSampler", SAMPLER | {"steps": 0, "chunks": 3})
    given = {"model": ["9", 0], "state": ["1", 0], "text_encoder": ["7", 0], "reroll": 1, "join": 0, "strength": 0.5}
    retouch = {"2": ("MagiRetouch", given | {"first": 2, "last": 5, "autosave": ""})}
    assert "own are 0 to 2" in queue({**BEFORE, "1": sampler, **retouch})["2", "last"]
    retouch["2"][1]["last"] = 2
    assert queue({**BEFORE, "1": sampler, **retouch}) == {}


def test_a_chunk_that_a_storyboard_does_not_have_is_told_at_its_number(queue) -> None:
    board = {"8": ("MagiStoryboard", {"text_encoder": ["7", 0], "text": "0: a\n1: b", "fps": 24.0})}
    shown = queue({**BEFORE, **board, "1": ("MagiStoryboardPrompt", {"storyboard": ["8", 1], "chunk": 2})})
    assert "there is no chunk 2" in shown["1", "chunk"]


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


def test_what_queueing_a_huge_graph_takes_grows_with_its_nodes_and_not_with_their_square(
    nodes, queue, part, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 nodes, 594 chunks. ComfyUI asks every node for its signature, and answers nobody meanwhile."""
    storyboard, looked = part("storyboard"), list[str]()

    def counted(text: str, **given: Any) -> Any:
        looked.append(text)
        return parse_storyboard(text, **given)

    parse_storyboard = storyboard.parse_storyboard
    monkeypatch.setattr(storyboard, "parse_storyboard", counted)
    loaders = {"1": "MagiLoadModel", "3": "MagiLoadTextEncoder"}
    graph = {key: (kind, _defaults(nodes, kind) | {"model": "nano"}) for key, kind in loaders.items()}
    for i in range(99):
        text = "\n".join(f"{n}: circle {i} moves right" for n in range(6))
        size = {"width": 128, "height": 128, "model": ["1", 0], "conditioning": [f"s{i}", 0]}
        graph[f"s{i}"] = (
            "MagiStoryboard",
            _defaults(nodes, "MagiStoryboard") | {"text": text, "text_encoder": ["3", 0]},
        )
        graph[f"c{i}"] = ("MagiChunkSampler", _defaults(nodes, "MagiChunkSampler") | size)
    before = time.process_time()
    assert queue(graph) == {}
    print(f"{time.process_time() - before:.1f} s of the processor")
    assert len(looked) == 99


def _defaults(nodes: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        each.id: each.options["default"] for each in nodes[kind].define_schema().inputs if "default" in each.options
    }
