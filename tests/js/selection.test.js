import assert from "node:assert/strict"
import { test } from "node:test"
import { Selection } from "../../js/desk/selection.js"

const ITEMS = [
  { id: "a", first: 0, last: 1 },
  { id: "b", first: 2, last: 2 },
  { id: "c", first: 3, last: 6 },
]
const [a, b, c] = ITEMS
const after = (several, ...went) => {
  const selection = new Selection(0, several)
  for (const [item, chunk, how = "only"] of went) selection.go(ITEMS, item, chunk, how)
  return [...selection.ids].sort().join("")
}

test("one is selected, or all between two, or one besides", () => {
  assert.equal(after(true, [a, 0], [c, 4]), "c")
  assert.equal(after(true, [c, 4], [a, 1, "more"]), "abc")
  assert.equal(after(true, [a, 0], [c, 4, "more"], [b, 2, "more"]), "ab", "from where it began")
  assert.equal(after(true, [a, 0], [c, 4, "toggle"]), "ac")
  assert.equal(after(true, [a, 0], [c, 4, "toggle"], [a, 0, "toggle"]), "c")
  assert.equal(after(false, [a, 0], [c, 4, "more"], [b, 2, "toggle"]), "b")
})

test("the cursor stays within what is there", () => {
  const selection = new Selection(0, true)
  selection.go(ITEMS, c, 9, "only")
  assert.equal(selection.cursor, 6)
  selection.select(["b", "c"], ITEMS)
  assert.equal(selection.cursor, 2)
  selection.keep([a], 0, 2)
  assert.deepEqual([[...selection.ids], selection.cursor], [[], 1])
})
