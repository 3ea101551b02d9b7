"""Every text that users see on a node, in every language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tools.locales import LOCALES, categories, node_texts, read

LANGUAGES = sorted(folder.name for folder in LOCALES.iterdir())
TRANSLATED = [language for language in LANGUAGES if language != "en"]
CHINESE = re.compile("[一-鿿]")


@pytest.fixture(scope="module")
def schemas(nodes: dict[str, Any]) -> list[Any]:
    return [node.define_schema() for node in nodes.values()]


def test_english_and_chinese_are_there() -> None:
    assert LANGUAGES == ["en", "zh"]


def test_english_is_what_the_nodes_say(schemas: list[Any]) -> None:
    assert read("en", "nodeDefs.json") == node_texts(schemas), "run: python -m tools.locales"
    assert read("en", "main.json") == categories(schemas), "run: python -m tools.locales"


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated_and_none_is_left_over(language: str, schemas: list[Any]) -> None:
    assert _places(read(language, "nodeDefs.json")) == _places(node_texts(schemas))
    assert _places(read(language, "main.json")) == _places(categories(schemas))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty_or_has_signs_that_the_frontend_interprets(language: str) -> None:
    """vue-i18n reads {names}, @:links and plural | forms into texts."""
    for place, text in _flat(read(language, "nodeDefs.json")):
        assert text.strip() == text != "", place
        assert not set(text) & set("{}@|"), (place, text)


@pytest.mark.parametrize("language", TRANSLATED)
def test_translations_name_the_same_numbers(language: str) -> None:
    """A changed limit, cost or default in English is not forgotten elsewhere."""
    english = dict(_flat(read("en", "nodeDefs.json")))
    for place, text in _flat(read(language, "nodeDefs.json")):
        assert _numbers(text) == _numbers(english[place]), (place, text, english[place])


def test_chinese_is_chinese() -> None:
    for place, text in _flat(read("zh", "nodeDefs.json")):
        if place[-1] in ("description", "tooltip"):
            assert CHINESE.search(text) and text.endswith("。"), (place, text)


def test_nodes_and_widgets_named_in_chinese_texts_are_called_so() -> None:
    texts = read("zh", "nodeDefs.json")
    names = {node["display_name"].removesuffix("（KV 缓存）") for node in texts.values()}
    assert len(names) == len(texts)
    for place, text in _flat(texts):
        for named in re.findall("“(Magi [^”]*)”", text):
            assert named in names, (place, named)


def _flat(texts: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from _flat(value, (*above, key))
        else:
            yield (*above, key), value


def _places(texts: dict[str, Any]) -> set[tuple[str, ...]]:
    return {place for place, _ in _flat(texts)}


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:\.\d+)?", text))
