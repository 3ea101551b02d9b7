import assert from "node:assert/strict"
import { test } from "node:test"
import { promptsOf } from "../../js/desk/script.js"

test("a script's numbers, bullets and times are not part of what happens", () => {
  const script = "1. one\r\n\r\n2) two\n(3) three\n- four\n• five\n00:05 six\n[1:02:03] - seven\n8、eight\n- 9. nine"
  assert.equal(promptsOf(script).join(" "), "one two three four five six seven eight nine")
})

test("a number that belongs to the words stays", () => {
  assert.deepEqual(promptsOf("1. go\n3 birds fly\n2001 a space odyssey\n7."), ["go", "3 birds fly", "2001 a space odyssey", "7."])
})

test("a text without any is no script", () => {
  assert.equal(promptsOf("0: a circle\n1 [cutt]: a square"), undefined)
})
