"""What Magi Second Pass and Magi Retouch would do, told before they are queued: chunks, keys and price as they run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.video.sounds import flashing

SMALL = {"width": 32, "height": 32, "steps": 4}
STORY = "0: red\n1: blue\n2: green\n3: red\n4: blue\n5: green\n6: red"


def graph(last: dict[str, Any], seed: int) -> dict[str, Any]:
    """A take of seven chunks, and what is done with it."""
    return {
        "1": {"class_type": "AModel", "inputs": {}},
        "2": {"class_type": "AnEncoder", "inputs": {}},
        "3": {"class_type": "MagiStoryboard", "inputs": {"text_encoder": ["2", 0], "text": STORY, "fps": 24}},
        "4": {
            "class_type": "MagiChunkSampler",
            "inputs": {"model": ["1", 0], "conditioning": ["3", 0], "seed": seed} | SMALL,
        },
        "5": {"class_type": "MagiTextEncode", "inputs": {"text_encoder": ["2", 0], "prompt": "a tree"}},
        "6": last,
    }


def second(**given: Any) -> dict[str, Any]:
    link = {"model": ["1", 0], "state": ["4", 0], "steps": 4}
    return {"class_type": "MagiSecondPass", "inputs": {k: v for k, v in (link | given).items() if v is not None}}


def retouch(**given: Any) -> dict[str, Any]:
    link = {"model": ["1", 0], "state": ["4", 0], "text_encoder": ["2", 0]}
    return {"class_type": "MagiRetouch", "inputs": link | given}


WORDS = {"conditioning": ["5", 0]}
PASSES: dict[str, dict[str, Any]] = {
    "other words": second(**WORDS, strength=0.5, seed=9),
    "a little": second(**WORDS, strength=0.25, seed=9),
    "its own words": second(text_encoder=["2", 0], strength=0.7, seed=9),
    "nothing of it": second(**WORDS, strength=0.0),
    "all of it": second(**WORDS, strength=1.0, seed=9),
    "at another size": second(**WORDS, width=48, height=64, seed=9),
    "the middle": retouch(**WORDS, first=2, last=3, strength=0.8, join=2),
    "its own words, other noise": retouch(first=1, last=1, strength=1.0),
    "the end": retouch(**WORDS, first=6, last=6),
    "the beginning": retouch(**WORDS, first=0, last=0, strength=0.25),
}


def kinds(plan: dict[str, Any]) -> str:
    return "".join(chunk["kind"][0] for chunk in plan["chunks"])


@pytest.mark.parametrize("last", PASSES.values(), ids=list(PASSES))
def test_the_price_is_what_runs_and_then_nothing_is_left_to_do(queue, plans, spent, last) -> None:
    asked = graph(last, 1)
    queue({name: node for name, node in asked.items() if name != "6"})
    _, told = plans(asked)
    assert told["exact"] and told["chunks"]
    spent()
    made = queue(asked)["6"][0].state
    assert spent() == told["cost"]
    assert [chunk["key"] for chunk in told["chunks"]] == [made.chunk_key(index) for index in range(made.finished)]
    _, after = plans(asked)
    assert after["cost"] == 0 and "c" not in kinds(after)


def test_what_resizing_does_is_said_with_the_plan(queue, plans) -> None:
    asked = graph(PASSES["at another size"], 6)
    queue({name: node for name, node in asked.items() if name != "6"})
    assert "the take's latents are brought from 32x32 to 48x64" in plans(asked)[1]["notes"]


def test_chunks_that_stay_are_kept_and_others_are_computed(queue, plans) -> None:
    asked = graph(PASSES["the middle"], 2)
    queue({name: node for name, node in asked.items() if name != "6"})
    assert kinds(plans(asked)[1]) == "kkcckkk"
    asked["6"] = PASSES["nothing of it"]
    assert kinds(plans(asked)[1]) == "kkkkkkk"


@pytest.mark.parametrize("name", ["other words", "the middle", "the end"])
def test_behind_a_take_that_is_not_made_yet_its_keys_are_known_and_the_price_is_at_most_that(
    queue, plans, spent, name
) -> None:
    queue(graph(PASSES[name], 3))
    asked = graph(PASSES[name], 4)
    asked["7"] = {
        "class_type": "MagiExtend",
        "inputs": {"model": ["1", 0], "state": ["6", 0], "conditioning": ["5", 0], "handoff": "continuous"},
    }
    first, told, longer = plans(asked)
    spent()
    made = queue(asked)["7"][0].state
    assert spent() <= first["cost"] + told["cost"] + longer["cost"]
    keys = [made.chunk_key(index) for index in range(made.finished)]
    assert [chunk["key"] for chunk in longer["chunks"]] == keys
    assert [chunk["key"] for chunk in told["chunks"]] == keys[:7]


def test_a_video_is_known_when_it_was_encoded_once_at_whatever_strength(queue, plans, spent, vae, tmp_path) -> None:
    from comfy_api.latest import InputImpl

    queue.outside |= {
        "AVideo": InputImpl.VideoFromFile(str(flashing(tmp_path / "a.mkv", 2, sound="flac"))),
        "AVAE": vae,
    }

    def asked(strength: float, width: int = 32) -> dict[str, Any]:
        given = {"video": ["8", 0], "vae": ["9", 0], "width": width, "height": 32, "strength": strength}
        loaders = {"8": {"class_type": "AVideo", "inputs": {}}, "9": {"class_type": "AVAE", "inputs": {}}}
        others = {name: node for name, node in graph({}, 1).items() if name in ("1", "2", "5")}
        return others | loaders | {"6": second(**WORDS, **given, state=None)}

    assert plans(asked(0.5))[0]["error"]
    queue(asked(0.5))
    (told,) = plans(asked(0.2))
    spent()
    made = queue(asked(0.2))["6"][0].state
    assert told["exact"] and spent() == told["cost"] > 0
    assert [chunk["key"] for chunk in told["chunks"]] == [made.chunk_key(index) for index in range(2)]
    assert "the video is not encoded yet" in plans(asked(0.2, width=48))[0]["error"]


@pytest.mark.parametrize(
    ("last", "sentence"),
    [
        (second(), "connect conditioning, for what the chunks become, or text_encoder"),
        (second(**WORDS, state=None), "connect what is made again to Magi Second Pass"),
        (second(**WORDS, video=["1", 0]), "connect one source to Magi Second Pass"),
        (second(**WORDS, strength=float("nan")), "strength"),
        (retouch(**WORDS, first=7, last=7), "the take's own are 0 to 6"),
        (retouch(**WORDS, first=3, last=2), "the last of them comes before the first"),
        (retouch(**WORDS, first=3, last=3, join=3), "use 1 or less"),
        (retouch(**WORDS, first=-1, last=3), "first must be from 0"),
    ],
)
def test_what_would_fail_is_said_instead_of_a_price(queue, plans, last, sentence) -> None:
    asked = graph(last, 5)
    queue({name: node for name, node in asked.items() if name != "6"})
    assert sentence in plans(asked)[1]["error"]


def test_no_words_are_read_for_a_plan(queue, plans, monkeypatch) -> None:
    from tools.small_models import WordEncoder

    asked = graph(PASSES["its own words, other noise"], 6)
    queue({name: node for name, node in asked.items() if name != "6"})
    read: list[str] = []
    monkeypatch.setattr(WordEncoder, "encode", lambda self, prompt: read.append(prompt))
    (_, told) = plans(asked)
    assert not read and told["cost"] > 0
