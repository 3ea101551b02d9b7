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
            seconds_left: 9.4, flight: flight.map(([key, stage]) => ({ index: 0, key, stage, stages: 4, t: stage / 4 })) }),
        still: (key, t, jpeg) => api.tell('magi.still', { ...place, index: 0, key, t, jpeg }),
        clip: (key, filename = `${key}.mp4`) => api.tell('magi.clip', { ...place, index: 0, key, filename }),
        ended: (status = 'done', sentence = '') => api.tell('magi.ended', { ...place, status, sentence }),
    }
    window.picture = hue => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 64 })
        const brush = canvas.getContext('2d')
        brush.fillStyle = `hsl(${hue} 60% 45%)`
        brush.fillRect(0, 0, 64, 64)
        return canvas.toDataURL('image/jpeg').split(',')[1]
    }
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
    desk.screenshot(path="/tmp/live/cells1.png")
    desk.evaluate("tell.still('a', 1, picture(20)), tell.clip('a'), tell.flight(['b', 2], ['c', 0])")
    states(desk, "kept remembered done denoising denoising")
