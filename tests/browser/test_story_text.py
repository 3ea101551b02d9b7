"""The Text tab of Magi Storyboard, and what is said of its text."""

from __future__ import annotations

from typing import Any

from tests.browser.boards import PLANS, TEXT, on, press, says, says_price, shows, until


def test_what_is_typed_in_the_text_tab_is_on_the_timeline(board: Any) -> None:
    board.get_by_role("tab", name="Text").click()
    board.locator(".magi-text").fill("0: one\n1-3: two")
    assert board.evaluate("text.value") == "0: one\n1-3: two"
    shows(board, "one|two")
    board.get_by_role("tab", name="Timeline").click()
    on(board, "two").click()
    press(board, "Delete")
    says(board, "0: one\n")
    board.get_by_role("tab", name="Text").click()
    assert board.locator(".magi-text").input_value() == "0: one\n"


def test_the_text_tab_has_the_price_and_the_length_as_well(board: Any) -> None:
    board.evaluate(PLANS)
    says_price(board, "Nothing is made: all 6 chunks are there")
    board.get_by_role("tab", name="Text").click()
    assert board.locator(".magi-price").is_visible()
    board.evaluate("hold()")
    board.locator(".magi-text").fill(TEXT.replace("it turns blue", "it turns red"))
    says_price(board, "Changed: chunk 2 will be made again")
    board.evaluate("answer([2])")
    says_price(board, "chunk 2: 43 chunk-forwards, about 28 s; 0–1, 3–5 from memory")
    board.locator(".magi-text").fill(TEXT + "6: it rolls away")
    until(board, "desk.querySelector('.magi-length').textContent", "7 chunks, 7s")


def test_a_long_text_scrolls_where_the_node_is_as_high_as_what_is_in_it(board: Any) -> None:
    """As in Nodes 2.0."""
    board.evaluate(
        "for (let each = desk; each !== document.body; each = each.parentElement) each.style.height = 'auto'"
    )
    board.get_by_role("tab", name="Text").click()
    board.locator(".magi-text").fill("\n".join(f"{n}: a circle moves" for n in range(300)))
    until(board, "desk.querySelector('.magi-length').textContent", "300 chunks, 5:00")
    assert board.evaluate("desk.offsetHeight") < 300
    assert board.evaluate("(pages => pages.scrollHeight > 2 * pages.clientHeight)(desk.querySelector('.magi-pages'))")


def test_a_mistake_is_marked_at_its_line_and_leaves_the_timeline(board: Any) -> None:
    board.get_by_role("tab", name="Text").click()
    board.locator(".magi-text").fill("0: one\n1 [cutt]: two")
    board.wait_for_selector(".magi-wrong-line")
    assert board.locator(".magi-wrong-line").inner_text().startswith("1 [cutt]: two")
    assert "cutt" in board.locator(".magi-mistake").inner_text()
    board.get_by_role("tab", name="Timeline").click()
    shows(board, "a circle moves|it turns blue|a square|it stops")
    assert board.locator(".magi-locked").count() == 1
    on(board, "it stops").click()
    press(board, "Delete")
    assert board.evaluate("text.value") == "0: one\n1 [cutt]: two"
    board.locator(".magi-banner .magi-link").click()
    assert board.evaluate("document.activeElement.className") == "magi-text"
    board.locator(".magi-text").fill("0: one\n1 [cut]: two")
    shows(board, "one|two")
    assert board.locator(".magi-locked").count() == 0


def test_a_text_from_another_node_is_not_edited(board: Any) -> None:
    board.evaluate("board.inputs[0].link = 7, board.onConnectionsChange()")
    assert "another node" in board.locator(".magi-banner").inner_text()
    assert not board.evaluate("text.hidden")
    board.locator(".magi-keys").focus()
    press(board, "Delete")
    assert board.evaluate("text.value") == TEXT


def test_the_newest_edit_wins(board: Any) -> None:
    board.evaluate("""() => {
        const write = api.answers['/magi/storyboard/write']
        let turn = 0
        api.answers['/magi/storyboard/write'] = async body => {
            const answer = await write(body)
            if (!turn++) await new Promise(done => window.release = done)
            return answer
        }
    }""")
    on(board, "it stops").click()
    press(board, "r", "r", "r")
    board.wait_for_function("!!window.release")
    queued = board.evaluate_handle("({ text: app.graphToPrompt().then(({ output }) => output[3].inputs.text) })")
    board.evaluate("release()")
    says(board, TEXT.replace("5: it", "5 [reroll 3]: it"))
    assert "[reroll 3]" in queued.evaluate("async ({ text }) => await text"), "what is queued waits for the edit"


def test_an_edit_that_cannot_be_written_is_told_and_written_with_the_next(board: Any) -> None:
    board.evaluate("""() => {
        const write = api.answers['/magi/storyboard/write']
        let turn = 0
        api.answers['/magi/storyboard/write'] = body => turn++ ? write(body) : Promise.reject(new Error('no room'))
    }""")
    on(board, "it stops").click()
    press(board, "r")
    board.locator(".magi-banner", has_text="The edit is not in the text: no room").wait_for()
    assert board.evaluate("text.value") == TEXT
    press(board, "r")
    says(board, TEXT.replace("5: it", "5 [reroll 2]: it"))
    board.locator(".magi-banner").wait_for(state="hidden")
