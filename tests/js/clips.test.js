import assert from "node:assert/strict"
import { test } from "node:test"
import { begun, EMPTY, MOST, withClip } from "../../js/clips/model.js"

const clip = (index, more = {}) => ({
  prompt_id: "p",
  node_id: "1",
  key: `${index}`,
  index,
  run: "r",
  filename: `${index}.mp4`,
  ...more,
})
const shown = (row) => row.clips.map(({ index }) => index)
const after = (...clips) => clips.reduce(withClip, EMPTY)

test("clips of a run line up, oldest first", () => {
  assert.deepEqual(shown(after(clip(0), clip(1), clip(2))), [0, 1, 2])
})

test("older clips make room", () => {
  const many = Array.from({ length: MOST + 3 }, (_, index) => clip(index))
  assert.deepEqual(shown(after(...many)), Array.from({ length: MOST }, (_, index) => index + 3))
})

test("clips stay until their node is at work for another prompt", () => {
  const row = after(clip(0), clip(1))
  assert.equal(begun(row, "p"), row)
  assert.deepEqual(shown(begun(row, "q")), [])
})

test("the first clip of another prompt, or of another run in the same prompt, replaces what was there", () => {
  assert.deepEqual(shown(after(clip(0), clip(1), clip(2, { prompt_id: "q" }))), [2])
  assert.deepEqual(shown(after(clip(0), clip(1), clip(0, { run: "s" }))), [0])
})

test("a row that begins keeps the clips of its prompt that follow", () => {
  assert.deepEqual(shown(withClip(begun(after(clip(5, { prompt_id: "o" })), "p"), clip(0))), [0])
})
