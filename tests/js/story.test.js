import assert from "node:assert/strict"
import { test } from "node:test"
import * as edits from "../../js/desk/edits.js"
import * as undoing from "../../js/desk/history.js"
import { stale } from "../../js/desk/stale.js"
import * as desk from "../../js/desk/story.js"

const line = (first, last, prompt, more = {}) => ({ first, last, prompt, ...more })
const STORY = desk.fromLines([
  line(0, 1, "a circle"),
  line(2, 2, "it turns blue", { transition: "cut", reroll: 2, source: "# c\n2 [cut]: it turns blue" }),
  line(5, 6, "it moves", { echo: true, tokens: ["HQ"] }), // 3 and 4 go on from 2
])
const id = (story, index) => story[index].id
const text = (story) => desk.toLines(story).map(({ first, last, prompt }) => `${first}-${last} ${prompt}`)

test("lines come back as they were, in order of time", () => {
  const lines = [line(2, 3, "b", { ranges: [1, 1, 3, 2] }), line(0, 1, "a", { transition: "restyle" })]
  assert.deepEqual(desk.toLines(desk.fromLines(lines)), [lines[1], lines[0]])
  assert.equal(desk.count(desk.fromLines(lines)), 4)
  assert.deepEqual(desk.toLines(STORY)[1].source, "# c\n2 [cut]: it turns blue")
})

test("what follows moves along when a line is put in, taken out, stretched or doubled", () => {
  const [inserted, [made]] = edits.insert(STORY, 1)
  assert.deepEqual(text(inserted), ["0-1 a circle", "2-2 ", "3-3 it turns blue", "6-7 it moves"])
  assert.equal(made, id(inserted, 1))
  assert.deepEqual(text(edits.remove(STORY, [id(STORY, 0)])), ["0-0 it turns blue", "3-4 it moves"])
  assert.deepEqual(text(edits.stretch(STORY, id(STORY, 0), 4)), ["0-3 a circle", "4-4 it turns blue", "7-8 it moves"])
  const [twice] = edits.duplicate(STORY, [id(STORY, 1)])
  assert.deepEqual(text(twice), ["0-1 a circle", "2-2 it turns blue", "5-5 it turns blue", "8-9 it moves"])
  assert.equal(twice[2].source, undefined, "comments are not doubled")
})

test("a line is never shorter than a chunk, a storyboard never without a line or endless", () => {
  const [only] = desk.fromLines([line(0, 3, "a")])
  assert.equal(desk.count(edits.stretch([only], only.id, -5)), 1)
  assert.equal(desk.count(edits.stretch([only], only.id, 1e9)), desk.MOST_CHUNKS)
  assert.deepEqual(edits.remove([only], [only.id]), [only])
})

test("a line is split where the playhead is; the second half goes on", () => {
  const story = desk.fromLines([line(0, 3, "a", { transition: "new_shot", reroll: 3, tokens: ["HQ"], source: "#\n0-3: a" })])
  assert.deepEqual(desk.toLines(edits.split(story, 2)), [
    line(0, 1, "a", { transition: "new_shot", reroll: 3, tokens: ["HQ"], source: "#\n0-3: a" }),
    line(2, 3, "a", { reroll: 3, tokens: ["HQ"] }),
  ])
  assert.equal(edits.split(story, 0), story)
})

test("a line made of chunks that no line names says what they were: the words and the tokens", () => {
  const story = desk.fromLines([line(0, 0, "a", { reroll: 3, tokens: ["HQ"] }), line(4, 4, "b")])
  const lines = desk.toLines(edits.split(story, 2))
  assert.deepEqual(lines[1], line(2, 3, "a", { tokens: ["HQ"] }))
  assert.deepEqual(stale(story, edits.split(story, 2)), [])
})

test("several lines move together and keep their order", () => {
  const story = desk.fromLines(["a", "b", "c", "d"].map((prompt, i) => line(i, i, prompt)))
  const prompts = (moved) => moved.map(({ prompt }) => prompt).join("")
  const ids = [id(story, 0), id(story, 2)]
  assert.equal(prompts(edits.move(story, ids, 4)), "bdac")
  assert.equal(prompts(edits.move(story, ids, 2)), "bacd")
  assert.equal(prompts(edits.shift(story, [id(story, 1)], -1)), "bacd")
  assert.equal(prompts(edits.shift(story, [id(story, 1)], 1)), "acbd")
  assert.equal(edits.shift(story, [id(story, 3)], 1), story)
  assert.equal(edits.move(story, [id(story, 1)], 2), story, "to where it is")
})

test("of what excludes each other the newer one stays", () => {
  const ids = [id(STORY, 2)]
  const cut = edits.direct(STORY, ids, { transition: "cut" })
  assert.equal(cut[2].echo, undefined)
  const ranges = edits.direct(cut, ids, { ranges: [1, 2] })
  assert.equal(ranges[2].transition, undefined)
  assert.equal(edits.direct(ranges, ids, { transition: "restyle" })[2].ranges, undefined)
  assert.equal(edits.direct(cut, ids, { echo: true })[2].transition, undefined)
})

test("what says nothing is left out", () => {
  const silent = { transition: "continue", reroll: 0, echo: false, ranges: [] }
  const [said] = desk.toLines(edits.direct(STORY, [id(STORY, 1)], silent)).slice(1)
  assert.deepEqual(said, line(2, 2, "it turns blue", { source: "# c\n2 [cut]: it turns blue" }))
  assert.deepEqual(edits.direct(STORY, [id(STORY, 0)], { tokens: [] })[0].tokens, [], "no tokens at all is something")
})

test("a change makes stale what follows in its shot, up to the wall", () => {
  const story = desk.fromLines([
    line(0, 1, "a"),
    line(2, 3, "b"),
    line(4, 5, "c", { transition: "cut" }),
    line(6, 6, "d"),
    line(7, 7, "e", { echo: true }),
    line(8, 8, "f"),
  ])
  const edited = (index, said) => stale(story, edits.direct(story, [id(story, index)], said))
  assert.deepEqual(edited(1, { prompt: "other" }), [[2, 3], [7, 8]])
  assert.deepEqual(edited(2, { reroll: 1 }), [[4, 8]])
  assert.deepEqual(edited(0, { prompt: " a " }), [], "white space is nothing")
  assert.deepEqual(stale(story, edits.remove(story, [id(story, 5)])), [], "what is gone makes nothing anew")
  assert.deepEqual(stale(story, edits.insert(story, 2)[0]), [[4, 9]], "moved: noise belongs to the place")
})

test("an edit can be taken back and made again, until something else is done", () => {
  let history = undoing.begin(STORY)
  assert.equal(undoing.did(history, edits.direct(STORY, [], { prompt: "x" })), history, "no change is no step")
  const longer = edits.stretch(STORY, id(STORY, 0), 3)
  history = undoing.did(history, longer)
  assert.equal(undoing.undo(history).now, STORY)
  assert.equal(undoing.redo(undoing.undo(history)).now, longer)
  assert.equal(undoing.undo(undoing.undo(history)).now, STORY)
  const other = undoing.did(undoing.undo(history), edits.remove(STORY, [id(STORY, 0)]))
  assert.deepEqual(other.future, [])
})

test("what is copied begins at chunk 0 and takes no comments along", () => {
  const lines = desk.linesOf(STORY, [id(STORY, 1), id(STORY, 2)])
  assert.deepEqual(lines.map(({ first, last }) => [first, last]), [[0, 0], [3, 4]])
  assert.ok(lines.every((each) => !("source" in each)))
})

test("while somebody types, lines at the same place are the same ones", () => {
  const typed = desk.again([line(0, 1, "a circles"), line(2, 2, "b"), line(3, 3, "new")], STORY)
  assert.deepEqual([id(typed, 0), id(typed, 1)], [id(STORY, 0), id(STORY, 1)])
  assert.ok(!STORY.some((each) => each.id === id(typed, 2)))
})

test("a story of many lines is edited in a moment", () => {
  const lines = Array.from({ length: 5000 }, (_, i) => line(i, i, `prompt ${i}`))
  const story = desk.fromLines(lines)
  const begun = process.cpuUsage()
  stale(story, edits.stretch(story, id(story, 0), 2))
  assert.ok(process.cpuUsage(begun).user < 200_000, "microseconds")
})

test("a story from elsewhere that was there a few steps before is that step, with what was undone still to be done again", () => {
  const steps = [STORY, edits.remove(STORY, [id(STORY, 0)]), edits.remove(STORY, [id(STORY, 1)])]
  const all = steps.slice(1).reduce(undoing.did, undoing.begin(STORY))
  const arrived = undoing.arrive(all, desk.fromLines(desk.toLines(STORY)))
  assert.equal(arrived.now, STORY)
  assert.equal(undoing.redo(undoing.redo(arrived)).now, steps[2])
  assert.equal(undoing.arrive(undoing.undo(all), steps[2]).now, steps[2], "or behind")
  assert.equal(undoing.arrive(all, edits.reroll(STORY, [id(STORY, 0)])), undefined)
})
