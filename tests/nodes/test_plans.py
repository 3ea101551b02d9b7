"""What a graph would do before it is queued: the same as the run then does, at the price that was told."""

from __future__ import annotations

import copy
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from tests.nodes.graph_runs import GraphRuns

SMALL = {"width": 32, "height": 32, "steps": 4}


def graph(text: str = "0: red\n1: blue\n2: green\n3: red\n4: blue\n5: red", later: str = "it stops", **how: Any) -> Any:
    link = {"model": ["1", 0]}
    return {
        "1": {"class_type": "AModel", "inputs": {}},
        "2": {"class_type": "AnEncoder", "inputs": {}},
        "5:3": {"class_type": "MagiStoryboard", "inputs": {"text_encoder": ["2", 0], "text": text, "fps": 24}},
        "4": {"class_type": "MagiChunkSampler", "inputs": link | {"conditioning": ["5:3", 0]} | SMALL | how},
        "6": {"class_type": "MagiTextEncode", "inputs": {"text_encoder": ["2", 0], "prompt": later}},
        "7": {"class_type": "MagiExtend", "inputs": link | {"state": ["4", 0], "conditioning": ["6", 0], "chunks": 2}},
    }


def kinds(plan: dict[str, Any]) -> str:
    return "".join(chunk["kind"][0] for chunk in plan["chunks"])


def test_a_plan_before_anything_ran_asks_to_run_once(plans) -> None:
    asked = graph("0: nothing like it", seed=77)
    asked["1"]["inputs"]["name"] = "a model that no test loads"
    (first, second) = plans(asked)
    assert "run it" in first["error"] and "run it" in second["error"]


def test_an_edit_makes_the_chunks_from_there_on_and_going_back_makes_none(queue, plans, spent) -> None:
    before = graph(seed=1)
    queue(before)
    unchanged = plans(before)
    assert [(kinds(plan), plan["cost"], plan["exact"]) for plan in unchanged] == [
        ("rrrrrr", 0, True),
        ("kkkkkkrr", 0, True),
    ]
    edited = graph("0: red\n1: blue\n2: green\n3: yellow\n4: blue\n5: red", seed=1)
    sampler, extend = plans(edited)
    assert (sampler["node_id"], kinds(sampler), sampler["exact"]) == ("4", "rrrccc", True)
    assert (kinds(extend), extend["exact"]) == ("kkkkkkcc", False)
    told = sampler["chunks"]

    spent()
    only_sampler = {name: node for name, node in edited.items() if name != "7"}
    made = queue(only_sampler)["4"][0].state
    assert spent() == sampler["cost"] > 0
    assert [chunk["key"] for chunk in told] == [chunk.key for chunk in made.chunks]

    (_, extend) = plans(edited)
    assert extend["exact"]
    spent()
    longer = queue(edited)["7"][0].state
    assert spent() == extend["cost"] > 0
    assert [chunk["key"] for chunk in extend["chunks"]] == [chunk.key for chunk in longer.chunks]
    assert [(kinds(plan), plan["cost"]) for plan in plans(before)] == [("rrrrrr", 0), ("kkkkkkrr", 0)]


def test_behind_a_node_that_has_not_run_the_price_is_at_most_that(queue, plans, spent) -> None:
    queue(graph(seed=2))
    edited = graph("0: red\n1: yellow", later="it goes on", seed=2)
    sampler, extend = plans(edited)
    assert (sampler["exact"], extend["exact"]) == (True, False)
    spent()
    made = queue(edited)
    assert 0 < spent() <= sampler["cost"] + extend["cost"]
    assert [chunk["key"] for chunk in extend["chunks"]] == [chunk.key for chunk in made["7"][0].state.chunks]


@pytest.mark.parametrize("how", [{"leave_in_flight": True}, {"seconds": 2.5}, {"total_chunks": 4}])
@pytest.mark.parametrize("handoff", ["clean", "continuous"])
def test_what_comes_behind_is_known_by_its_keys_however_it_goes_on(queue, plans, how, handoff) -> None:
    queue(graph("0: blue", seed=3))
    asked = graph("0: red\n1: yellow\n2: green\n3: blue\n4: red", seed=3, **how)
    asked["7"]["inputs"]["handoff"] = handoff
    _, extend = plans(asked)
    made = queue(asked)["7"][0].state
    assert [chunk["key"] for chunk in extend["chunks"]] == [chunk.key for chunk in made.chunks]


def test_rewind_and_save_are_looked_through(queue, plans) -> None:
    asked = graph(seed=4)
    queue(asked)
    asked["8"] = {"class_type": "MagiSaveState", "inputs": {"state": ["4", 0], "filename_prefix": "x"}}
    asked["9"] = {"class_type": "MagiRewind", "inputs": {"state": ["8", 0], "chunks": 2}}
    asked["7"]["inputs"]["state"] = ["9", 0]
    extend = plans(asked)[1]
    assert (kinds(extend), extend["exact"]) == ("kkcc", True)


HOSTILE: dict[str, Any] = {
    "in a circle": lambda g: g["4"]["inputs"].update(model=["7", 0]),
    "of itself": lambda g: g["4"]["inputs"].update(conditioning=["4", 0]),
    "no such node": lambda g: g["4"]["inputs"].update(model=["99", 0]),
    "not a node": lambda g: g.update({"1": 3}),
    "no class": lambda g: g.update({"1": {"class_type": ["x"], "inputs": 3}}),
    "no inputs": lambda g: g["4"].update(inputs=None),
    "a size in words": lambda g: g["4"]["inputs"].update(width="wide"),
    "a wrong size": lambda g: g["4"]["inputs"].update(width=725),
    "a list of steps": lambda g: g["4"]["inputs"].update(steps=[4]),
    "an endless number": lambda g: g["4"]["inputs"].update(seconds=float("inf")),
    "too many chunks": lambda g: g["4"]["inputs"].update(chunks=10**9),
    "a way that is none": lambda g: g["7"]["inputs"].update(handoff="magic"),
    "a path": lambda g: g["4"]["inputs"].update(autosave="../../x"),
    "a text that is a number": lambda g: g["5:3"]["inputs"].update(text=3),
    "no storyboard": lambda g: g["5:3"]["inputs"].update(text="0: a\n0: b"),
    "a rate in words": lambda g: g["5:3"]["inputs"].update(fps="24"),
    "a million chunks": lambda g: g["5:3"]["inputs"].update(text="0-99999: a"),
    "an output that is none": lambda g: g["4"]["inputs"].update(conditioning=["5:3", -7]),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=list(HOSTILE))
def test_a_graph_that_cannot_be_is_answered_in_words(queue, part, change) -> None:
    from magi_core.errors import MagiError

    good = graph("0: red", seed=5)
    queue(good)
    bad = copy.deepcopy(good)
    change(bad)
    try:
        found = part("desk.plans").plan({"graph": bad})["nodes"]
    except MagiError as error:
        assert str(error)
        return
    assert any("error" in plan or not plan["exact"] for plan in found), found


def test_a_graph_as_deep_as_a_request_allows_is_answered(part) -> None:
    deep = {str(n): {"class_type": "MagiExtend", "inputs": {"state": [str(n + 1), 0]}} for n in range(150)}
    deep |= {str(n): {"class_type": "X", "inputs": {"a": [str(n + 1), 0]}} for n in range(150, 4999)}
    deep["4999"] = {"class_type": "X", "inputs": {}}
    found = part("desk.plans").plan({"graph": deep})["nodes"]
    assert len(found) == 150 and all(plan["error"] for plan in found)


def test_a_node_without_a_plan_keeps_no_video_alive(queue, plans, part, monkeypatch) -> None:
    asked = graph("0: red", seed=6)
    made = weakref.ref(queue(asked)["4"][0].state)
    monkeypatch.setattr(part("desk.plans"), "MOST_CHUNKS", 2)
    gc.collect()
    gc.disable()
    try:
        assert "chunks of a workflow" in plans(asked)[1]["error"]
        queue.kept.clear()
        assert made() is None
    finally:
        gc.enable()


def test_after_too_many_chunks_no_other_node_is_looked_at(queue, part, monkeypatch) -> None:
    """When a graph is queued that is sooner: the server answers nobody meanwhile."""
    asked = graph("0: red", seed=7)
    queue(asked)
    module, looked = part("desk.plans"), []
    monkeypatch.setattr(module, "planning", lambda *a: looked.append(a) or part("ui.sampling_run").planning(*a))
    for number in range(100, 120):
        asked[f"5:{number}"] = copy.deepcopy(asked["5:3"])
        asked[f"5:{number}"]["inputs"]["text"] = f"0-99999: {number}"
        asked[str(number)] = copy.deepcopy(asked["4"])
        asked[str(number)]["inputs"]["conditioning"] = [f"5:{number}", 0]
    found = module.plan({"graph": asked})["nodes"]
    assert len(looked) == 3 and len(found) == 22
    looked.clear()
    for name, node in asked.items():
        if name.startswith("5:1"):
            node["inputs"]["text"] = f"0-999: {name}"
    module.faults(asked)
    assert len(looked) == 2 + 4
    assert all("chunks of a workflow" in plan["error"] for plan in found[2:])


def test_files_of_a_model_are_looked_at_once_for_all_nodes(part, monkeypatch) -> None:
    asked = {"1": {"class_type": "MagiLoadModel", "inputs": {"model": "nano"}}}
    asked |= {"3": {"class_type": "MagiTextEncode", "inputs": {"prompt": "red"}}}
    link = {"model": ["1", 0], "conditioning": ["3", 0]}
    asked |= {f"k{n}": {"class_type": "MagiChunkSampler", "inputs": link | SMALL} for n in range(5)}
    plans, module, read = part("desk.plans"), part("desk.given"), []
    look = module.unloaded_model
    monkeypatch.setattr(module, "unloaded_model", lambda given: read.append(given) or look(given))
    plans.plan({"graph": asked})
    assert len(read) == 1


@pytest.mark.parametrize("how", [{}, {"leave_in_flight": True}])
@pytest.mark.parametrize("handoff", ["clean", "continuous"])
def test_a_saved_take_is_planned_with_before_it_is_loaded(queue, plans, run, model, spent, how, handoff) -> None:
    """By its header alone; at the price and with the keys of the run."""
    asked = graph("0: red\n1: blue\n2: green", seed=9, **how)
    del asked["7"]
    made = queue(asked)["4"][0]
    name = f"planned {handoff} {len(how)}"
    run("MagiSaveState", state=made, filename_prefix=name)
    del asked["4"]
    asked["8"] = {"class_type": "MagiLoadState", "inputs": {"take": f"magi/{name}_00001_.magi [output]"}}
    given = {"model": ["1", 0], "state": ["8", 0], "conditioning": ["6", 0], "chunks": 2, "handoff": handoff}
    asked["9"] = {"class_type": "MagiExtend", "inputs": given}
    model.cache.clear()
    (told,) = plans(asked)
    assert told["exact"] and kinds(told).startswith("k" * made.state.finished)
    spent()
    longer = queue(asked)["9"][0].state
    assert spent() == told["cost"] > 0
    assert [chunk["key"] for chunk in told["chunks"]] == [chunk.key for chunk in longer.chunks]


def test_what_is_not_encoded_yet_has_a_price_of_at_most_that_and_no_keys(queue, plans, vae) -> None:
    queue.outside |= {"AVae": vae, "Picture": torch.rand(1, 32, 32, 3)}
    asked = graph("0: red\n1: blue", seed=10)
    asked = {"8": {"class_type": "AVae", "inputs": {}}, "9": {"class_type": "Picture", "inputs": {}}} | asked
    encode = {"vae": ["8", 0], "image": ["9", 0], "width": 32, "height": 32}
    asked["4"]["inputs"]["prefix"] = ["10", 0]
    before = {"10": {"class_type": "MagiVAEEncode", "inputs": encode}}
    asked = {**{name: asked[name] for name in ("1", "2", "8", "9")}, **before, **asked}
    queue(graph("0: red", seed=10))
    sampler, extend = plans(asked)
    assert not sampler["exact"] and {chunk["key"] for chunk in sampler["chunks"] + extend["chunks"]} == {""}
    queue(asked)
    made, _ = plans(asked)
    assert made["exact"] and len(made["chunks"]) == len(sampler["chunks"])


def test_of_files_that_nothing_has_loaded_yet_the_keys_are_known_too(part, nodes, monkeypatch) -> None:
    """And they are those of the run."""
    asked = {
        "1": {"class_type": "MagiLoadModel", "inputs": {"model": "nano"}},
        "2": {"class_type": "MagiLoadTextEncoder", "inputs": {"model": "nano", "dtype": "auto"}},
        "3": {
            "class_type": "MagiStoryboard",
            "inputs": {"text_encoder": ["2", 0], "text": "0: red\n1: blue", "fps": 24},
        },
        "4": {"class_type": "MagiChunkSampler", "inputs": {"model": ["1", 0], "conditioning": ["3", 0], **SMALL}},
    }
    read = part("host.text_encoder").PlacedT5.__call__
    monkeypatch.setattr(part("host.text_encoder").PlacedT5, "__call__", lambda *a: pytest.fail("a model was loaded"))
    (told,) = part("desk.plans").plan({"graph": asked})["nodes"]
    assert told["exact"] and kinds(told) == "cc"
    monkeypatch.setattr(part("host.text_encoder").PlacedT5, "__call__", read)
    made = GraphRuns(nodes, part("desk.made"), monkeypatch, {})(asked)["4"][0].state
    assert [chunk["key"] for chunk in told["chunks"]] == [chunk.key for chunk in made.chunks]


def test_plans_that_are_asked_for_while_a_run_goes_on_change_nothing_in_it(queue, plans, model) -> None:
    def latents(asked: Any) -> list[torch.Tensor]:
        model.cache.clear()
        state = queue(asked)["7"][0].state
        return [state.chunk_latent(index) for index in range(state.finished)]

    asked = graph(seed=8, leave_in_flight=True)
    undisturbed = latents(asked)
    over, failures = threading.Event(), []

    def ask_on() -> int:
        count = 0
        while not over.is_set():
            told = plans(graph(f"0: red\n1: {count % 5}", seed=8 + count % 2))
            failures.extend(plan["error"] for plan in told if "error" in plan)
            count += 1
        return count

    with ThreadPoolExecutor(2) as threads:
        asking = [threads.submit(ask_on) for _ in range(2)]
        try:
            disturbed = latents(asked)
        finally:
            over.set()
    assert all(each.result() for each in asking) and not failures
    assert all(map(torch.equal, undisturbed, disturbed)) and len(undisturbed) == len(disturbed)
