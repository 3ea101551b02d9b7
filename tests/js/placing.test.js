import assert from "node:assert/strict"
import { test } from "node:test"
import { placeBeside } from "../../js/desk/placing.js"

const PAGE = { width: 1000, height: 600 }
const SIZE = { width: 380, height: 300 }
const covers = ([left, top], { left: l, top: t, right, bottom }) => {
  return left < right && left + SIZE.width > l && top < bottom && top + SIZE.height > t
}

test("a window covers nothing that it is about, wherever there is room", () => {
  const line = (left, top, width = 112, height = 200) => ({ left, top, right: left + width, bottom: top + height })
  for (const avoid of [line(300, 50), line(300, 390), line(300, 200), line(700, 200), line(0, 0), line(880, 390)]) {
    const [left, top] = placeBeside(SIZE, avoid, PAGE)
    assert.ok(!covers([left, top], avoid), JSON.stringify({ avoid, left, top }))
    assert.ok(left >= 0 && top >= 0 && left + 380 <= 1000 && top + 300 <= 600, "it is seen whole")
  }
})

test("where nowhere is room, it is seen whole and leaves as much as it can", () => {
  assert.deepEqual(placeBeside(SIZE, { left: 100, top: 100, right: 900, bottom: 500 }, PAGE), [616, 100])
})
