// The time of a still that takes a clip's place.
import assert from "node:assert/strict"
import { test } from "node:test"

import { StillTime } from "../../js/desk/still_time.js"

/**
 * A still of one second, and a clock that is put forward.
 * @param {import("node:test").MockTimers} timers
 */
function still(timers) {
  timers.enable({ apis: ["setTimeout"] })
  let now = 1000
  const told = { passes: 0, over: 0 }
  const time = new StillTime({ passes: () => told.passes++, over: () => told.over++ }, () => now)
  const pass = (/** @type {number} */ milliseconds) => {
    for (let i = 0; i < milliseconds; i += 100) {
      now += 100
      timers.tick(100)
    }
  }
  time.begin(1)
  return { time, told, pass }
}

test("a still stands for as long as its chunk, and says so meanwhile", ({ mock }) => {
  const { time, told, pass } = still(mock.timers)
  time.goOn()
  pass(900)
  assert.deepEqual(told, { passes: 9, over: 0 })
  assert.ok(Math.abs(time.seconds - 0.9) < 1e-9)
  pass(500)
  assert.deepEqual(told, { passes: 9, over: 1 })
  assert.ok(time.halted)
})

test("a still that is halted stays, and goes on from where it was", ({ mock }) => {
  const { time, told, pass } = still(mock.timers)
  time.goOn()
  pass(600)
  time.halt()
  pass(5000)
  assert.ok(Math.abs(time.seconds - 0.6) < 1e-9)
  assert.equal(told.over, 0)
  time.goOn()
  pass(400)
  assert.equal(told.over, 1)
})

test("another chunk begins anew, halted", ({ mock }) => {
  const { time, told, pass } = still(mock.timers)
  time.goOn()
  pass(600)
  time.begin(1, 0.25)
  pass(5000)
  assert.equal(time.seconds, 0.25)
  assert.equal(told.over, 0)
})
