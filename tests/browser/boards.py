"""A Magi Storyboard on the bare page, whose text is read and written by the code that the server's routes use."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from magi_core.errors import MagiError
from magi_core.story.chunk import ChunkSpec, json_fields
from magi_core.story.lines import Line, faults, read_lines
from magi_core.story.rewrite import write_lines

TEXT = "# the opening\n0-1: a circle moves\n2 [new_shot]: it turns blue\n3-4 [cut] [tokens hq]: a square\n5: it stops\n"
BUILD = """async text => {
    await import('/extensions/magi/desk/index.js')
    const answers = { read: window.readStory, write: window.writeStory }
    for (const [name, answer] of Object.entries(answers)) api.answers[`/magi/storyboard/${name}`] = answer
    window.board = app.rootGraph.add(3, 'MagiStoryboard', 'Magi Storyboard')
    window.text = board.addValue('text', text)
    window.fps = board.addValue('fps', 24)
    board.inputs = [{ name: 'text', widget: { name: 'text' }, link: null }]
    const sampler = app.rootGraph.add(5, 'MagiChunkSampler', 'Magi Chunk Sampler')
    sampler.links = { conditioning: ['3', 0] }
    for (const each of app.extensions) each.setup?.()
    for (const each of app.extensions) each.nodeCreated?.(board)
    window.desk = document.querySelector('.magi-storyboard')
}"""
PLANS = """async () => {
    const size = { first: 0, fps: 24, width: 96, height: 96, notes: [], seconds: 28, exact: true }
    const chunk = made => (_, index) => made.includes(index)
        ? { index, key: `new ${index} ${Math.random()}`, kind: 'computed' }
        : { index, key: `k${index}`, kind: 'remembered' }
    const plan = (made, more = {}, count = 6) => ({ nodes: [{ node_id: '5', ...size, cost: made.length && 43, ...more,
        chunks: Array.from({ length: count }, chunk(made)) }] })
    let release = [Promise.resolve(plan([]))]
    api.answers['/magi/plan'] = () => release[0]
    window.hold = () => void (release = [new Promise(done => window.answer = (...given) => done(plan(...given)))])
    const { graphChanged } = await import('/extensions/magi/desk/live.js')
    graphChanged()
}"""
LIMIT = 4000  # milliseconds for what takes a few
BLOCKS = "[...desk.querySelectorAll('.magi-words')].map(words => words.textContent).join('|')"
PRICE = "desk.querySelector('.magi-price').textContent"


def read(body: dict[str, Any]) -> dict[str, Any]:
    try:
        told = read_lines(body["text"], body["fps"])
    except MagiError:
        return {"errors": [asdict(fault) for fault in faults(body["text"], body["fps"])]}
    return {"lines": [line.json for line in told.lines], "chunks": told.chunks, "form": told.form, "notes": []}


def write(body: dict[str, Any]) -> dict[str, Any]:
    lines = [
        Line(each["first"], each["last"], ChunkSpec(each["prompt"], **json_fields(each)), each.get("source", ""))
        for each in body["lines"]
    ]
    return {"text": write_lines(lines, body["form"], body["fps"])}


def shows(page: Any, expected: str) -> None:
    until(page, BLOCKS, expected)


def says(page: Any, expected: str) -> None:
    """Until the widget's value, which is what is queued and saved, is this."""
    until(page, "text.value", expected)


def until(page: Any, value: str, expected: str) -> None:
    try:
        page.wait_for_function(f"expected => {value} === expected", arg=expected)
    except Exception:
        raise AssertionError(f"{value} is {page.evaluate(value)!r}") from None


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def on(page: Any, words: str) -> Any:
    return page.locator(".magi-words", has_text=words)


def says_price(page: Any, expected: str) -> None:
    until(page, PRICE, expected)
