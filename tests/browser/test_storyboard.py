"""The timeline on Magi Storyboard, on a page of its own: what is typed, pressed and dragged, and the text it comes to.

The text is read and written by the code that the server's routes use.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.boards import PRICE, TEXT, on, press, says, shows


def test_a_line_that_says_the_same_is_not_made_anew_under_the_hand(board) -> None:
    board.evaluate("window.first = desk.querySelector('.magi-words')")
    board.locator(".magi-words", has_text="it stops").click()
    board.keyboard.press("+")
    shows(board, "a circle moves|it turns blue|a square|it stops")
    board.wait_for_function("text.value.endsWith('5-6: it stops\\n')")
    assert board.evaluate("first === desk.querySelector('.magi-words')")


def test_words_have_the_room_of_marks_that_are_not_there(board: Any) -> None:
    room = """desk.querySelectorAll('.magi-said').values().map(said => {
        const words = said.querySelector('.magi-words')
        words.textContent = 'words and words '.repeat(50)
        return said.getBoundingClientRect().bottom - words.getBoundingClientRect().bottom
    }).toArray()"""
    unmarked, marked, *_ = board.evaluate(room)
    assert unmarked < 6 < 16 < marked


def test_a_transition_is_told_whole_or_by_its_sign_however_narrow_its_line(board: Any) -> None:
    cut_off = """() => [...desk.querySelectorAll('.magi-mark[data-tag=transition]')].filter(mark => {
        const [box, block] = [mark, mark.closest('.magi-body')].map(each => each.getBoundingClientRect())
        const [sign, text] = mark.children
        const told = text.offsetWidth ? text.scrollWidth <= text.clientWidth : sign.clientWidth > 0
        return !told || box.right > block.right || box.left < block.left
    }).map(mark => `${mark.textContent} at ${mark.closest('.magi-body').clientWidth}`)"""
    widths = set()
    while board.evaluate(BLOCK_WIDTH) > 30:
        assert board.evaluate(cut_off) == []
        widths.add(board.evaluate(BLOCK_WIDTH))
        board.get_by_role("button", name="Zoom out").click()
    assert len(widths) >= 3


BLOCK_WIDTH = "desk.querySelectorAll('.magi-body')[1].clientWidth"


def test_a_storyboard_is_made_by_the_keyboard_alone(board: Any) -> None:
    board.locator(".magi-tab >> nth=0").focus()
    for _ in range(12):  # through the tools to the strip
        press(board, "Tab")
        if board.evaluate("document.activeElement.classList.contains('magi-keys')"):
            break
    press(board, "ArrowRight", "Enter")
    board.keyboard.type(" slowly")
    press(board, "Control+Enter")
    board.keyboard.type("it grows")
    press(board, "Enter", "+", "End", "Delete", "Home", "r")
    says(
        board,
        "# the opening\n0-1 [reroll 1]: a circle moves\n2 [new_shot]: it turns blue slowly\n3-4: it grows\n"
        "5-6 [cut] [tokens HQ]: a square\n",
    )


def test_what_is_left_as_it_was_keeps_the_form_it_was_typed_in(board: Any) -> None:
    on(board, "it turns blue").click()
    press(board, "m")
    board.get_by_label("Restyle").check()
    says(board, TEXT.replace("[new_shot]", "[restyle]"))


def test_an_edge_is_dragged_and_what_follows_moves_along(board: Any) -> None:
    edge = board.locator(".magi-edge >> nth=1").bounding_box()
    drag(board, edge["x"] + 5, edge["y"] + 20, 112 * 2)
    shows(board, "a circle moves|it turns blue|a square|it stops")
    says(
        board,
        TEXT.replace("2 [new", "2-4 [new")
        .replace("3-4 [cut] [tokens hq]", "5-6 [cut] [tokens HQ]")
        .replace("5: it", "7: it"),
    )


def test_a_line_is_dragged_to_another_place(board: Any) -> None:
    on(board, "it turns blue").click()
    box = on(board, "it turns blue").bounding_box()
    drag(board, box["x"] + 10, box["y"] + 4, -220)
    shows(board, "it turns blue|a circle moves|a square|it stops")
    says(
        board,
        "0 [new_shot]: it turns blue\n# the opening\n1-2: a circle moves\n"
        "3-4 [cut] [tokens hq]: a square\n5: it stops\n",
    )


def test_several_lines_are_selected_and_taken_out_and_come_back(board: Any) -> None:
    on(board, "it turns blue").click()
    on(board, "a square").click(modifiers=["Shift"])
    press(board, "Delete")
    says(board, "# the opening\n0-1: a circle moves\n2: it stops\n")
    press(board, "Control+z")
    says(board, TEXT)
    press(board, "Control+y")
    shows(board, "a circle moves|it stops")


def test_one_edit_is_one_step_for_comfyui(board: Any) -> None:
    on(board, "it stops").dblclick()
    board.keyboard.type(" and waits for a while")
    says(board, TEXT.replace("it stops", "it stops and waits for a while"))
    assert board.evaluate("app.steps") == 0
    press(board, "Enter")
    board.wait_for_function("app.steps === 1")
    press(board, "Delete")
    board.wait_for_function("app.steps === 2")


def test_an_edit_is_given_up(board: Any) -> None:
    on(board, "it stops").dblclick()
    board.keyboard.type(" never")
    says(board, TEXT.replace("it stops", "it stops never"))
    press(board, "Escape")
    says(board, TEXT)


def test_a_line_is_split_at_the_playhead(board: Any) -> None:
    on(board, "a circle").click()
    press(board, ".", "s")
    shows(board, "a circle moves|a circle moves|it turns blue|a square|it stops")
    press(board, "Control+d")
    says(
        board,
        "# the opening\n0: a circle moves\n1: a circle moves\n2: a circle moves\n3 [new_shot]: it turns blue\n"
        "4-5 [cut] [tokens HQ]: a square\n6: it stops\n",
    )


def test_lines_go_to_the_clipboard_as_text_and_come_back(board: Any) -> None:
    board.context.grant_permissions(["clipboard-read", "clipboard-write"])
    on(board, "a square").click()
    board.wait_for_function("api.asked.some(([route, body]) => route.endsWith('write') && body.lines.length === 1)")
    board.wait_for_function("desk.querySelector('.magi-keys') === document.activeElement")
    press(board, "Control+c")
    board.wait_for_function(f"{PRICE} === '1 line copied'")
    press(board, "Home", "Control+v")
    shows(board, "a circle moves|a square|it turns blue|a square|it stops")


@pytest.mark.parametrize(
    "script",
    ["0: one\n1: two\n2-3: three", "one\ntwo\nthree", "1. one\r\n2. two\r\n3) three", "- one\n• two\n00:02 three"],
)
def test_a_script_is_pasted(board: Any, script: str) -> None:
    on(board, "it stops").click()
    paste(board, script)
    shows(board, "a circle moves|it turns blue|a square|it stops|one|two|three")


def test_hostile_words_are_words(board: Any) -> None:
    hostile = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
    board.evaluate("hostile => text.value = '0: ' + hostile", hostile)
    shows(board, hostile)
    board.locator(".magi-words").click(button="right")
    board.get_by_role("menuitem", name="Direct").click()
    board.get_by_label("Echo").wait_for()
    assert board.evaluate("window.hacked") is None
    assert board.locator("img[src=x]").count() == 0


def test_keys_stay_on_the_desk(board: Any) -> None:
    board.evaluate("window.leaked = [], addEventListener('keydown', event => leaked.push(event.key))")
    on(board, "it stops").click()
    press(board, "ArrowLeft", "Delete", "Control+z", "x", "Escape")
    assert board.evaluate("leaked.filter(key => key !== 'Control')") == []
    press(board, "Control+Enter")
    assert "Enter" in board.evaluate("leaked"), "ComfyUI runs the workflow"


def test_a_line_is_directed_and_undone(board: Any) -> None:
    on(board, "a circle").click()
    press(board, "m")
    dialog = board.get_by_role("dialog")
    dialog.get_by_role("radio", name="Cut").check()
    dialog.get_by_label("Reroll").get_by_role("spinbutton").fill("7")
    dialog.get_by_role("spinbutton").press("Enter")
    dialog.get_by_label("As in the sampler").uncheck()
    dialog.get_by_label("3-D").check()
    says(board, TEXT.replace("0-1:", "0-1 [cut] [reroll 7] [tokens THREE_D_MODEL]:"))
    ranges = dialog.get_by_role("textbox")
    ranges.fill("1, 0")
    ranges.press("Enter")
    assert "whole numbers" in dialog.get_by_role("alert").inner_text()
    ranges.fill("1，1, 3 2")
    ranges.press("Enter")
    says(board, TEXT.replace("0-1:", "0-1 [reroll 7] [ranges 1,1,3,2] [tokens THREE_D_MODEL]:"))
    press(board, "Escape", "Control+z", "Control+z")
    says(board, TEXT.replace("0-1:", "0-1 [cut] [reroll 7] [tokens none]:"))


def test_every_control_has_a_name(board: Any) -> None:
    nameless = """() => [...desk.querySelectorAll('button, input, textarea, [role]')].filter(element =>
        !['presentation', 'tabpanel', 'alert', 'status'].includes(element.role) && element.ariaHidden !== 'true'
        && !element.closest('[aria-hidden=true]') && !(element.ariaLabel || element.textContent.trim())
    ).map(element => element.outerHTML)"""
    assert board.evaluate(nameless) == []
    active = (
        "document.getElementById(desk.querySelector('.magi-keys').getAttribute('aria-activedescendant'))?.ariaLabel"
    )
    on(board, "a square").click()
    assert board.evaluate(active) == "chunks 3–4, a square, Cut, Tokens High quality"


def test_chinese(board: Any) -> None:
    board.evaluate("window.locale = 'zh', board.onConfigure?.()")
    on(board, "it stops").click(button="right")
    assert board.get_by_role("menuitem", name="复制一份").count() == 1


def drag(page: Any, x: float, y: float, by: float) -> None:
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(x + by * step / 8, y)
    page.mouse.up()


def paste(page: Any, text: str) -> None:
    page.evaluate(
        """text => {
            const data = new DataTransfer()
            data.setData('text/plain', text)
            const paste = new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })
            document.activeElement.dispatchEvent(paste)
        }""",
        text,
    )
