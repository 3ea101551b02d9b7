// What a desk knew, and what of it outlives a reload of the page.
import assert from "node:assert/strict"
import { test } from "node:test"

import { begin, did, undo } from "../../js/desk/history.js"
import { block, fromLines } from "../../js/desk/story.js"

/** @type {Map<string, string>} */
const storage = new Map()
globalThis.sessionStorage = /** @type {any} */ ({
  getItem: (/** @type {string} */ name) => storage.get(name) ?? null,
  setItem: (/** @type {string} */ name, /** @type {string} */ value) => void storage.set(name, value),
})

let pages = 0
/** The module as a page that was loaded anew has it. @returns {Promise<typeof import("../../js/desk/keepsakes.js")>} */
const page = () => import(`../../js/desk/keepsakes.js?page=${++pages}`)
const view = { chunkWidth: 80, zoomed: true, scrollLeft: 12, cursor: 3 }
const story = (/** @type {string} */ prompt) => fromLines([{ first: 0, last: 1, prompt }])

test("undo steps, tab and zoom outlive a reload, once", async () => {
  storage.clear()
  const history = undo(did(did(begin(story("one")), story("two")), story("three")))
  const before = await page()
  before.keep("w", "1:2", { history, tab: "text", view })
  before.store()
  const after = await page()
  assert.equal(after.takeKept("another", "1:2"), undefined)
  assert.deepEqual(after.takeKept("w", "1:2"), { history, tab: "text", view })
  assert.equal(after.takeKept("w", "1:2"), undefined)
})

test("a line that is made after a reload is no line from before", async () => {
  storage.set("magi.desk", JSON.stringify([["w 1", { history: begin([{ ...story("one")[0], id: 4000 }]), tab: "", view }]]))
  await page()
  assert.ok(block({ prompt: "two" }, 1, 0).id > 4000)
})

test("many steps of a long story are stored as far as there is room", async () => {
  storage.clear()
  const long = (/** @type {number} */ i) => fromLines(Array.from({ length: 600 }, (_, n) => ({ first: n, last: n, prompt: `${i} ${n}` })))
  let history = begin(long(0))
  for (let i = 1; i < 200; i++) history = did(history, long(i))
  const before = await page()
  before.keep("w", "1", { history: begin(story("old")), tab: "timeline", view })
  before.keep("w", "2", { history, tab: "timeline", view })
  before.store()
  assert.ok((storage.get("magi.desk") ?? "").length < 310_000)
  const after = await page()
  const kept = after.takeKept("w", "2")?.history
  assert.ok(kept && kept.past.length >= 2, `${kept?.past.length}`)
  assert.deepEqual(kept?.now, history.now)
})

test("what is no keepsake in the storage is nothing, and a full one loses nothing else", async () => {
  const odd = ["", "{", "7", "null", "[null]", "[[1, 2]]", '[["w 1", {}]]']
  const wrong = [{ past: [], now: [{ id: 1, length: 0, held: 0, prompt: "" }], future: [] }, { past: 3 }, {}]
  odd.push(...wrong.map((history) => JSON.stringify([["w 1", { history, tab: "text", view }]])))
  for (const value of odd) {
    storage.set("magi.desk", value)
    assert.equal((await page()).takeKept("w", "1"), undefined, value)
  }
  const { setItem } = globalThis.sessionStorage
  globalThis.sessionStorage.setItem = () => {
    throw new Error("full")
  }
  const last = await page()
  last.keep("w", "1", { history: begin(story("one")), tab: "text", view })
  last.store()
  assert.ok(last.takeKept("w", "1"))
  globalThis.sessionStorage.setItem = setItem
})
