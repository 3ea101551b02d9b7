"""The strip on nodes that sample, with events as the server sends them."""

from __future__ import annotations

from typing import Any

import pytest

DESK = """async () => {
    await import('/extensions/magi/desk/index.js')
    const { live } = { live: await import('/extensions/magi/desk/live.js') }
    window.cells = live.cells
    app.rootGraph.add(5, 'MagiChunkSampler', 'Magi Chunk Sampler')
    for (const each of app.extensions) each.setup()
    api.answers['/jobs/p'] = { workflow_id: 'workflow' }
    const place = { prompt_id: 'p', node_id: '5', run: 'r' }
    const size = { fps: 24, width: 128, height: 128, notes: [], cost: 40, seconds: 12 }
    window.tell = {
        plan: (keys, more = {}) => api.tell('magi.plan', { ...place, ...size, first: 0, ...more, chunks: keys.map(
            ([key, kind], i) => ({ index: (more.first ?? 0) + i, key, kind: kind ?? 'computed' })) }),
        flight: (...flight) => api.tell('magi.progress', { ...place, done: 0, chunks: 4, step: 3, steps: 16,
            seconds_left: 9.4,
            flight: flight.map(([key, stage]) => ({ index: 0, key, stage, stages: 4, t: stage / 4 })) }),
        still: (key, t, jpeg) => api.tell('magi.still', { ...place, index: 0, key, t, jpeg }),
        clip: (key, filename = `${key}.mp4`) => api.tell('magi.clip', { ...place, index: 0, key, filename }),
        ended: (status = 'done', sentence = '') => api.tell('magi.ended', { ...place, status, sentence }),
    }
    window.listen = (peaks = Array.from({ length: 80 }, (_, i) => i * 3)) => {
        api.answers['/magi/sound'] = { key: 's', seconds: 4, rate: 20, peaks, filename: 's.m4a' }
    }
    window.picture = hue => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 64 })
        const brush = canvas.getContext('2d')
        brush.fillStyle = `hsl(${hue} 60% 45%)`
        brush.fillRect(0, 0, 64, 64)
        return canvas.toDataURL('image/jpeg').split(',')[1]
    }
}"""
OPEN = """id => {
    app.open(id).add(5, 'MagiChunkSampler')
    for (const each of app.extensions) each.afterConfigureGraph()
}"""
STATES = "[...document.querySelectorAll('.magi-cell')].map(cell => cell.dataset.state).join(' ')"


@pytest.fixture
def desk(page: Any) -> Any:
    page.evaluate(DESK)
    return page


def states(desk: Any, expected: str) -> None:
    desk.wait_for_function(f"expected => {STATES} === expected", arg=expected)


def test_cells_fill_while_a_run_goes_on(desk: Any) -> None:
    desk.evaluate("tell.plan([['k', 'kept'], ['m', 'remembered'], ['a'], ['b'], ['c']])")
    states(desk, "kept remembered queued queued queued")
    desk.evaluate("tell.clip('k'), tell.clip('m'), tell.flight(['a', 2], ['b', 0])")
    desk.evaluate("tell.still('a', 0.6, picture(20)), tell.still('b', 0.2, picture(120))")
    states(desk, "kept remembered denoising denoising queued")
    desk.wait_for_selector("video[data-ready]")
    desk.evaluate("tell.still('a', 1, picture(20)), tell.clip('a'), tell.flight(['b', 2], ['c', 0])")
    states(desk, "kept remembered done denoising denoising")


def finished(desk: Any, keys: str = "abcd") -> None:
    desk.evaluate("keys => tell.plan([...keys].map(key => [key]))", keys)
    desk.evaluate(
        "keys => [...keys].forEach((key, i) => { tell.still(key, 1, picture(70 * i)); tell.clip(key) })", keys
    )
    desk.evaluate("tell.ended()")
    states(desk, " ".join(["done"] * len(keys)))


def test_stills_sharpen_and_are_hidden_by_the_clip_once_it_plays(desk: Any) -> None:
    desk.evaluate("tell.plan([['a']]), tell.flight(['a', 0]), tell.still('a', 0.2, picture(0))")
    desk.wait_for_selector(".magi-cell > img[src^='data:']")
    before = desk.get_attribute(".magi-cell > img", "src")
    desk.evaluate("tell.still('a', 0.7, picture(200))")
    desk.wait_for_function("src => document.querySelector('.magi-cell > img').src !== src", arg=before)
    desk.evaluate("tell.still('a', 1, picture(100)), tell.clip('a'), tell.ended()")
    desk.wait_for_selector(".magi-cell > video[data-ready]")
    assert desk.evaluate("document.querySelector('.magi-cell-note').textContent") == "", "no step stays behind"
    assert desk.evaluate(
        "(v => [v.preload, v.muted, v.poster !== ''])(document.querySelector('.magi-cell > video'))"
    ) == [
        "none",
        True,
        True,
    ]


def test_only_what_is_seen_holds_a_video(desk: Any) -> None:
    desk.evaluate("tell.plan(Array.from({ length: 600 }, (_, i) => [`k${i}`, 'remembered']))")
    desk.evaluate("for (let i = 0; i < 600; i++) tell.clip(`k${i}`)")
    desk.wait_for_selector("video[data-ready]")
    first = desk.evaluate("[...document.querySelectorAll('video')].map(video => video.dataset.filename)")
    assert 0 < len(first) <= 12 and "k0.mp4" in first
    desk.evaluate("document.querySelector('.magi-scroller').scrollLeft = 40000")
    desk.wait_for_selector("video[data-filename='k420.mp4'][data-ready]")
    later = desk.evaluate("[...document.querySelectorAll('video')].map(video => video.dataset.filename)")
    assert len(later) <= 12 and not set(first) & set(later)


def test_six_hundred_live_chunks_scroll_without_stalling_the_page(desk: Any) -> None:
    """Script, style and layout take at most 8 ms per scroll event, while clips play and a run tells of its steps."""
    desk.evaluate("listen(Array(16000).fill(90))")
    kinds = "Array.from({ length: 600 }, (_, i) => [`k${i}`, i < 590 ? 'remembered' : 'computed'])"
    desk.evaluate(f"tell.plan({kinds}, {{ sound: {{ key: 's', start: 0 }} }})")
    desk.evaluate("for (let i = 0; i < 600; i++) { tell.still(`k${i}`, 1, picture(i)); tell.clip(`k${i}`) }")
    desk.wait_for_selector("video[data-ready]")
    session = desk.context.new_cdp_session(desk)
    session.send("Performance.enable")
    before = _spent(session)
    scrolls = desk.evaluate("""async () => {
        const scroller = document.querySelector('.magi-scroller')
        let count = 0
        scroller.addEventListener('scroll', () => count++)
        for (let i = 0; i < 100; i++) {
            scroller.scrollLeft += i < 60 ? 90 : 900
            if (i % 12 === 0) tell.flight(['k590', i % 4])
            await new Promise(requestAnimationFrame)
        }
        return count
    }""")
    assert scrolls >= 60
    each = (_spent(session) - before) / scrolls
    print(f"{each:.2f} ms per scroll event")
    assert each <= 8


def _spent(session: Any) -> float:
    """Milliseconds of script, style and layout so far."""
    names = ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * sum(each["value"] for each in metrics if each["name"] in names)


def test_pointing_at_a_cell_scrubs_its_clip(desk: Any) -> None:
    finished(desk)
    desk.wait_for_selector("video[data-ready]")
    box = desk.locator(".magi-cell").first.bounding_box()
    at = "Math.round(document.querySelector('.magi-cell > video').currentTime * 10)"
    for place in (0.25, 0.75):
        desk.mouse.move(box["x"] + place * box["width"], box["y"] + 30)
        desk.wait_for_function(f"place => Math.abs({at} - place * 10) <= 1", arg=place)
        assert desk.evaluate("document.querySelector('.magi-cell > video').paused")


def test_a_click_plays_large_and_arrows_go_on(desk: Any) -> None:
    finished(desk)
    desk.locator(".magi-cell").nth(1).click()
    playing = "name => document.querySelector('dialog[open] video').src.includes(name)"
    desk.wait_for_function(playing, arg="filename=b.mp4")
    desk.keyboard.press("ArrowRight")
    desk.wait_for_function(playing, arg="filename=c.mp4")
    assert "2.0–3.0 s" in desk.inner_text(".magi-player-title")
    desk.keyboard.press("Escape")
    desk.wait_for_function("!document.querySelector('dialog[open]')")


def test_the_player_is_halted_and_goes_on_by_a_button(desk: Any) -> None:
    finished(desk)
    desk.locator(".magi-cell").nth(1).click()
    video = "document.querySelector('dialog[open] video')"
    desk.get_by_role("button", name="Pause").click()
    desk.wait_for_function(f"{video}.paused")
    desk.get_by_role("button", name="Play", exact=True).click()
    desk.wait_for_function(f"!{video}.paused")
    desk.get_by_role("button", name="Pause").wait_for()  # named so by the event that follows


def test_space_plays_the_whole_strip_in_order(desk: Any) -> None:
    finished(desk, "ab")
    desk.evaluate("""() => {
        window.played = []
        document.addEventListener('playing', ({ target }) => {
            if (target.closest('dialog')) played.push(new URL(target.src).searchParams.get('filename'))
        }, true)
        document.querySelector('.magi-keys').focus()
    }""")
    desk.keyboard.press("Space")
    desk.wait_for_function("String([...new Set(played)]) === 'a.mp4,b.mp4'", timeout=15_000)


def test_a_chunk_that_has_a_still_alone_is_halted_too_where_the_strip_is_played(desk: Any) -> None:
    desk.evaluate("tell.plan([['a'], ['b']], { fps: 1 }), tell.still('a', 1, picture(0)), tell.clip('b'), tell.ended()")
    desk.locator(".magi-keys").focus()
    desk.keyboard.press("Space")
    slider = "document.querySelector('dialog[open] input[type=range]')"
    assert desk.evaluate(f"Number({slider}.value)") < 24, "it does not stand where another strip was left"
    desk.wait_for_function(f"Number({slider}.value) > 0")
    desk.get_by_role("button", name="Pause").click()
    play = desk.get_by_role("button", name="Play", exact=True)
    play.wait_for()
    assert desk.evaluate(f"Number({slider}.value)") < 24
    desk.evaluate("tell.still('a', 1, picture(90)), tell.clip('a')")
    desk.wait_for_function("document.querySelector('dialog[open] video:not([hidden])')?.src.includes('a.mp4')")
    assert desk.evaluate("document.querySelector('dialog[open] video').paused"), "its clip has come, and waits as well"
    play.click()
    desk.wait_for_function("document.querySelector('dialog[open] video').src.includes('b.mp4')")


def test_time_left_counts_down_without_being_told(desk: Any) -> None:
    desk.evaluate("tell.plan([['a'], ['b']]), tell.flight(['a', 1])")
    line = "(document.querySelector('.magi-line')?.textContent ?? '')"
    desk.wait_for_function(f"{line}.endsWith(' s left')")
    told = desk.evaluate(f"parseInt({line})")
    assert told <= 9
    desk.wait_for_function(f"parseInt({line}) < {told}")
    desk.evaluate("tell.ended()")
    desk.wait_for_function(f"!{line}.includes('left')")


def test_a_sound_lies_under_the_ruler_where_it_is_heard(desk: Any) -> None:
    desk.evaluate("listen(), tell.plan([['a'], ['b'], ['c']], { first: 2, sound: { key: 's', start: 0 } })")
    desk.wait_for_selector(".magi-row-sound path")
    ruler, wave, cell = (
        desk.locator(f".magi-sampling {each}").first.bounding_box()
        for each in (".magi-ruler", ".magi-row-sound svg", ".magi-cell")
    )
    assert ruler["y"] + ruler["height"] <= wave["y"] + 1 and wave["y"] + wave["height"] <= cell["y"] + 1
    assert wave["width"] == 3 * 96, "as long as the chunks"
    loud = desk.get_attribute(".magi-row-sound path", "d").split("L")[0]
    assert float(loud.split(",")[1]) == pytest.approx(-40 * 3 / 255, abs=0.02), "chunk 2 begins at 2 s of the sound"
    desk.evaluate("tell.plan([['a'], ['b'], ['c']])")
    desk.wait_for_selector(".magi-row-sound", state="hidden")


def test_a_sound_is_played_in_step_with_the_strip(desk: Any) -> None:
    desk.evaluate("""() => {
        listen()
        HTMLMediaElement.prototype.play = new Proxy(HTMLMediaElement.prototype.play, { apply(play, media, given) {
            if (media.tagName === 'AUDIO') window.audio = media
            return Reflect.apply(play, media, given)
        } })
    }""")
    desk.evaluate("tell.plan([['a'], ['b'], ['c']], { sound: { key: 's', start: 0.5 } })")
    desk.evaluate("for (const key of 'abc') tell.clip(key)")
    desk.evaluate("tell.ended()")
    desk.wait_for_selector(".magi-row-sound path")
    desk.locator(".magi-cell").nth(1).click()
    off = """([index, most]) => {
        const video = document.querySelector('dialog[open] video:not([hidden])')
        const begins = Math.max(0, index - 0.5)
        return window.audio?.src.includes('s.m4a') && !audio.paused && !video.paused
            && Math.abs(audio.currentTime - begins - video.currentTime) < most
    }"""
    desk.wait_for_function(off, arg=[1, 0.2])
    desk.keyboard.press("Space")
    desk.wait_for_function("audio.paused")
    desk.keyboard.press("ArrowRight")
    desk.wait_for_function(off, arg=[2, 0.2])
    desk.get_by_role("slider", name="Time").fill("0.6")
    desk.wait_for_function("document.querySelector('dialog[open] video').src.includes('a.mp4')")
    desk.wait_for_function(off, arg=[0, 0.25])
    desk.get_by_role("button", name="Mute").click()
    assert (
        desk.evaluate("audio.muted") and desk.get_by_role("button", name="Mute").get_attribute("aria-pressed") == "true"
    )
    desk.keyboard.press("Escape")
    desk.wait_for_function("audio.paused")


def test_an_edit_makes_cells_stale_and_taking_it_back_shows_the_old_clips_at_once(desk: Any) -> None:
    finished(desk)
    stale = "[...document.querySelectorAll('.magi-cell[data-stale]')].map(cell => cell.dataset.index).join()"
    wanted = """keys => cells.wanted('workflow', [{ node_id: '5', first: 0, fps: 24, width: 128, height: 128, notes: [],
        cost: 20, seconds: null, chunks: keys.map((key, index) =>
            ({ index, key, kind: 'ab'.includes(key) || keys[2] === 'c' ? 'remembered' : 'computed' })) }])"""
    desk.evaluate(wanted, ["a", "b", "x", "y"])
    desk.wait_for_function(f"{stale} === '2,3'")
    assert "2 to make: 20 chunk-forwards" in desk.inner_text(".magi-line")
    desk.evaluate(wanted, ["a", "b", "c", "d"])
    desk.wait_for_function(f"{stale} === ''")
    states(desk, "done done done done")
    assert "all there" in desk.inner_text(".magi-line")


def test_a_failed_run_says_its_sentence_on_the_cells_as_text(desk: Any) -> None:
    sentence = "<img src=x onerror=alert(1)> width must be a multiple of 16"
    desk.evaluate("sentence => { tell.plan([['a'], ['b']]); tell.ended('failed', sentence) }", sentence)
    states(desk, "failed failed")
    assert desk.inner_text(".magi-line") == sentence


def test_an_event_that_is_none_of_ours_means_nothing(desk: Any) -> None:
    finished(desk)
    desk.evaluate("""() => {
        const place = { prompt_id: 'p', node_id: '5', run: 'odd' }
        const odd = [null, undefined, 7, 'x', [], {}, { ...place, node_id: 7 }, place,
            { ...place, first: 'x', chunks: 3 }, { ...place, first: 0, chunks: [null] },
            { ...place, flight: [{ key: 3 }] }, { ...place, key: 'a', t: 'x' },
            { ...place, key: {}, filename: [] }, { ...place, status: 'done', sentence: {} }]
        for (const event of ['plan', 'progress', 'still', 'clip', 'ended']) {
            for (const each of odd) api.tell(`magi.${event}`, each)
        }
    }""")
    desk.evaluate(OPEN, "another")
    desk.evaluate(OPEN, "workflow")
    states(desk, "done done done done")


def test_a_clip_that_is_gone_leaves_the_still_and_says_that_it_must_be_made(desk: Any) -> None:
    desk.evaluate("tell.plan([['a']]), tell.still('a', 1, picture(0)), tell.clip('a', 'gone.mp4'), tell.ended()")
    desk.wait_for_function(
        "!document.querySelector('.magi-cell > video') && cells.cellsOf('workflow', '5')[0].clip === ''"
    )
    desk.evaluate("""cells.wanted('workflow', [{ node_id: '5', first: 0, fps: 24, width: 128, height: 128, notes: [],
        cost: 20, seconds: null, chunks: [{ index: 0, key: 'a', kind: 'computed' }] }])""")
    states(desk, "lost")
    assert desk.get_attribute(".magi-cell", "aria-label") == "chunk 0, must be made again to be seen"


def test_another_workflow_shows_none_of_it_and_coming_back_shows_all(desk: Any) -> None:
    finished(desk)
    desk.evaluate(OPEN, "another")
    desk.evaluate("tell.plan([['a'], ['b']]), tell.clip('z')")
    desk.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert desk.locator(".magi-cell").count() == 0
    desk.evaluate(OPEN, "workflow")
    states(desk, "done done")


def test_a_page_that_opens_during_a_run_shows_where_it_is(desk: Any) -> None:
    desk.evaluate("""() => {
        const plan = { prompt_id: 'p', node_id: '5', run: 'r', first: 0, fps: 24, width: 128, height: 128, notes: [],
            cost: 9, seconds: null, chunks: ['a', 'b', 'c'].map((key, index) => ({ index, key, kind: 'computed' })) }
        api.answers['/magi/desk'] = { nodes: { 5: { plan, status: 'running', sentence: '',
            words: { a: { prompt: 'a red ball' } },
            progress: { flight: [{ index: 1, key: 'b', stage: 2, stages: 4, t: 0.5 }], step: 2, steps: 9,
                seconds_left: 4 }, stills: { a: 1 }, clips: { a: 'a.mp4' } } } }
        app.extensions.forEach(each => each.afterConfigureGraph())
    }""")
    states(desk, "done denoising queued")
    assert "a red ball" in desk.get_attribute(".magi-cell", "title")


@pytest.mark.parametrize("theme", ["", "light"])
def test_what_is_written_on_the_strip_can_be_read(desk: Any, theme: str) -> None:
    desk.evaluate("theme => document.documentElement.className = theme", theme)
    finished(desk)
    ratio = desk.evaluate("""() => {
        const light = colour => {
            const [r, g, b] = colour.match(/[\\d.]+/g).map(part => part / 255).map(part =>
                part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
            return 0.2126 * r + 0.7152 * g + 0.0722 * b
        }
        const line = document.querySelector('.magi-line')
        const pair = [light(getComputedStyle(line).color), light(getComputedStyle(line.parentElement).backgroundColor)]
        return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)
    }""")
    assert ratio >= 4.5


def test_the_strip_speaks_chinese(desk: Any) -> None:
    desk.evaluate("window.locale = 'zh'")
    desk.evaluate("tell.plan([['a', 'kept']])")
    states(desk, "kept")
    assert desk.get_attribute(".magi-cell", "aria-label") == "片段 0, 保留自之前"


def test_a_node_that_cannot_be_drawn_leaves_the_others_their_strips(desk: Any) -> None:
    desk.evaluate("""() => {
        window.addEventListener('error', (event) => event.preventDefault())
        app.rootGraph.add(6, 'MagiChunkSampler', 'Another')
        const node = app.rootGraph.nodes.find(({ id }) => id === 5)
        node.addDOMWidget = () => { node.tried = true; throw new Error('no room') }
        tell.plan([['a']])
    }""")
    desk.wait_for_function("app.rootGraph.nodes.find(({ id }) => id === 5).tried")
    desk.evaluate("""api.tell('magi.plan', { prompt_id: 'p', node_id: '6', run: 's', fps: 24, width: 128, height: 128,
        notes: [], cost: 4, seconds: 1, first: 0, chunks: [{ index: 0, key: 'b', kind: 'computed' }] })""")
    states(desk, "queued")
