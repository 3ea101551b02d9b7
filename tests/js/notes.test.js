import assert from "node:assert/strict"
import { test } from "node:test"
import { heightOf } from "../../js/notes/model.js"

test("a text has room for all its lines, broken where the node ends", () => {
  const short = heightOf("44 chunk-forwards", 210)
  assert.ok(heightOf("one\ntwo\nthree\nfour", 210) > short)
  assert.ok(heightOf("x".repeat(200), 210) > heightOf("x".repeat(200), 500))
})

test("a very long text scrolls, and a narrow node makes it no higher than that", () => {
  assert.equal(heightOf("x\n".repeat(1000), 210), heightOf("x\n".repeat(100), 210))
  assert.ok(heightOf("x".repeat(500), 0) < 400)
})
