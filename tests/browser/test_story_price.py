"""What an edit of a storyboard makes stale, and what the next run costs."""

from __future__ import annotations

from typing import Any

from tests.browser.boards import PLANS, TEXT, on, press, says_price, shows


def test_an_edit_is_marked_at_once_and_priced_when_it_rests(board: Any) -> None:
    board.evaluate(PLANS)
    says_price(board, "Nothing is made: all 6 chunks are there")
    board.evaluate("hold()")
    on(board, "it turns blue").click()
    press(board, "r")
    says_price(board, "Changed: chunk 2 will be made again")
    assert board.evaluate(STALE) == "2"
    board.evaluate("answer([2], { exact: false, seconds: null })")
    says_price(board, "chunk 2: at most 43 chunk-forwards; 0–1, 3–5 from memory")
    board.evaluate("hold()")
    on(board, "a square").click()
    press(board, "+")
    says_price(board, "Changed: chunks 2, 5–6 will be made again")
    board.evaluate("answer([2, 5, 6], {}, 7)")
    says_price(board, "chunks 2, 5–6: 43 chunk-forwards, about 28 s; 0–1, 3–4 from memory")


def test_an_answer_that_takes_long_counts_where_the_graph_is_still_the_same(board: Any) -> None:
    board.evaluate(PLANS)
    says_price(board, "Nothing is made: all 6 chunks are there")
    board.evaluate("hold()")
    on(board, "it stops").click()
    press(board, "r")
    asked = "api.asked.filter(([route, { graph } = {}]) => graph?.[3].inputs.text.includes('reroll')).length"
    board.wait_for_function(f"{asked} === 1")
    board.evaluate("""async () => { // somebody moves a node: nothing that is asked about
        window.turns = 0
        const { graphToPrompt } = app
        app.graphToPrompt = function () { turns++; return graphToPrompt.call(this) }
        api.tell('graphChanged')
    }""")
    board.wait_for_function("turns === 1")
    board.evaluate("answer([5])")
    says_price(board, "chunk 5: 43 chunk-forwards, about 28 s; 0–4 from memory")


def test_a_plan_that_comes_before_its_text_is_read_is_the_price_of_it(board: Any) -> None:
    board.evaluate(PLANS)
    says_price(board, "Nothing is made: all 6 chunks are there")
    board.evaluate("""() => {
        const read = api.answers['/magi/storyboard/read']
        api.answers['/magi/storyboard/read'] = async body => {
            await new Promise(done => window.goOn = done)
            return read(body)
        }
        hold()
        text.value = text.value.replace('it stops', 'it waits')
        api.tell('graphChanged')
    }""")
    board.wait_for_function("api.asked.some(([, { graph } = {}]) => graph?.[3].inputs.text.includes('it waits'))")
    board.evaluate("answer([5])")
    board.wait_for_selector(
        ".magi-lane-chunks .magi-cell[data-stale], .magi-lane-chunks .magi-cell[data-state=planned]"
    )
    board.evaluate("goOn()")
    shows(board, "a circle moves|it turns blue|a square|it waits")
    says_price(board, "chunk 5: 43 chunk-forwards, about 28 s; 0–4 from memory")


def test_what_a_drag_would_make_stale_is_said_before_it_is_done(board: Any) -> None:
    board.evaluate(PLANS)
    says_price(board, "Nothing is made: all 6 chunks are there")
    box = board.locator(".magi-edge >> nth=0").bounding_box()
    board.mouse.move(box["x"] + 5, box["y"] + 20)
    board.mouse.down()
    board.mouse.move(box["x"] + 117, box["y"] + 20, steps=6)
    says_price(board, "Noise belongs to the place in the video: chunks 2–6 will be made again")
    assert board.evaluate("text.value") == TEXT
    press(board, "Escape")
    board.mouse.up()
    says_price(board, "Nothing is made: all 6 chunks are there")
    assert board.evaluate("text.value") == TEXT
    on(board, "it turns blue").click(button="right")
    hint = board.get_by_role("menuitem", name="Move earlier").get_attribute("title")
    assert hint == "Noise belongs to the place in the video: chunks 0–2 will be made again"


STALE = "[...desk.querySelectorAll('.magi-cell[data-stale]')].map(cell => cell.dataset.index).join()"
