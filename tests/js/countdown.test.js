import assert from "node:assert/strict"
import { test } from "node:test"
import { Cells } from "../../js/desk/cells.js"
import { Countdown, leftNow } from "../../js/desk/countdown.js"
import { lineOf } from "../../js/desk/run_line.js"

test("time left counts down between the steps that tell it, and follows them", () => {
  let now = 5000
  const cells = new Cells(() => now)
  const place = { prompt_id: "p", node_id: "5", run: "r" }
  const step = { flight: [], done: 0, chunks: 2, step: 1, steps: 9 }
  const chunks = [{ index: 0, key: "a", kind: "computed" }]
  cells.runs.planned("w", { ...place, chunks, first: 0, cost: 9, seconds: 30, fps: 24, width: 8, height: 8, notes: [] })
  const line = () => lineOf(cells.summaryOf("w", "5"), now)
  assert.equal(line(), "making chunks, about 30 s")
  assert.equal(cells.counts("w"), false, "nothing is known yet")
  cells.runs.progressed("w", { ...place, ...step, seconds_left: 20 })
  assert.equal(cells.counts("w"), true)
  assert.equal(line(), "20 s left")
  now += 4000
  assert.equal(line(), "16 s left")
  cells.runs.progressed("w", { ...place, ...step, seconds_left: 18 })
  assert.equal(line(), "18 s left")
  cells.runs.ended("w", { ...place, status: "done", sentence: "" })
  assert.equal(cells.counts("w"), false)
})

test("time left is never less than none", () => {
  assert.equal(leftNow({ secondsLeft: 2, toldAt: 0 }, 9000), 0)
  assert.equal(leftNow({ secondsLeft: null, toldAt: 0 }, 9000), null)
  assert.equal(leftNow({ secondsLeft: 2, toldAt: 9000 }, 0), 2)
})

test("a second passes again and again, once however often it was asked for, until nothing counts down", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] })
  let ticks = 0
  const countdown = new Countdown(() => ++ticks < 3)
  countdown.begin()
  countdown.begin()
  t.mock.timers.tick(1000)
  assert.equal(ticks, 1)
  for (let i = 0; i < 9; i++) t.mock.timers.tick(1000)
  assert.equal(ticks, 3)
})
