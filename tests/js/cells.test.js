import assert from "node:assert/strict"
import { test } from "node:test"
import { Cells } from "../../js/desk/cells.js"

const SIZE = { first: 0, fps: 24, width: 128, height: 128, notes: [], cost: 12, seconds: null }
const place = (more) => ({ prompt_id: "p", node_id: "5", run: "r", ...more })
/** chunks("a b c"): keys in their places; "=a" is kept, "+a" remembered. */
const chunks = (keys, first = 0) =>
  keys.split(" ").map((word, i) => {
    const kind = { "=": "kept", "+": "remembered" }[word[0]] ?? "computed"
    return { index: first + i, key: word.replace(/^[=+]|^\?$/, ""), kind }
  })
const plan = (keys, more = {}) => place({ ...SIZE, chunks: chunks(keys, more.first), ...more })
const progress = (...flight) =>
  place({ flight: flight.map(([key, stage]) => ({ index: 0, key, stage, stages: 4, t: 0.5 })), done: 0, chunks: 3, step: 1, steps: 9, seconds_left: 7 })
const still = (key, t, more = {}) => place({ index: 0, key, t, jpeg: `${key}@${t}`, ...more })
const clip = (key, more = {}) => place({ index: 0, key, filename: `${key}.mp4`, ...more })
const ended = (status, sentence = "") => place({ status, sentence })

const ran = (keys, status = "done") => {
  const cells = new Cells()
  cells.runs.planned("w", plan(keys))
  for (const { key, kind } of chunks(keys)) {
    if (status !== "done" && kind === "computed") continue
    cells.runs.pictured("w", still(key, 1))
    cells.runs.filmed("w", clip(key))
  }
  cells.runs.ended("w", ended(status, status === "failed" ? "no room" : ""))
  return cells
}
const states = (cells, id = "5", workflow = "w") => cells.cellsOf(workflow, id).map(({ state }) => state).join(" ")
const clips = (cells, id = "5", workflow = "w") => cells.cellsOf(workflow, id).map(({ clip }) => clip).join(" ")
const stale = (cells) => cells.cellsOf("w", "5").filter(({ stale }) => stale).map(({ index }) => index)

test("a run goes through its cells: queued, denoising with its stage, done", () => {
  const cells = new Cells()
  cells.runs.planned("w", plan("=k +m a b"))
  assert.equal(states(cells), "kept remembered queued queued")
  cells.runs.progressed("w", progress(["a", 2]))
  assert.equal(states(cells), "kept remembered denoising queued")
  assert.deepEqual([cells.cellsOf("w", "5")[2].stage, cells.cellsOf("w", "5")[2].stages], [2, 4])
  cells.runs.progressed("w", progress(["b", 1]))
  assert.equal(states(cells), "kept remembered done denoising")
  cells.runs.ended("w", ended("done"))
  assert.equal(states(cells), "kept remembered done denoising".replace("denoising", "planned"), "left in flight")
})

test("a chunk whose clip is there is done, although the last step was told before", () => {
  const cells = new Cells()
  cells.runs.planned("w", plan("a b"))
  cells.runs.progressed("w", progress(["a", 3], ["b", 2]))
  cells.runs.filmed("w", clip("a"))
  assert.equal(states(cells), "done denoising")
})

test("what was queued says so before its node begins, until nothing is queued any more", () => {
  const cells = ran("a b")
  cells.wanted("w", [plan("+a +b c", { run: undefined })])
  cells.runs.queued("elsewhere")
  assert.equal(states(cells), "done done planned")
  cells.runs.queued("w")
  assert.equal(states(cells), "done done queued")
  cells.runs.idle()
  assert.equal(states(cells), "done done planned")
  cells.runs.queued("w")
  cells.runs.planned("w", plan("+a +b c", { run: "r2" }))
  assert.equal(states(cells), "remembered remembered queued")
  cells.runs.ended("w", { ...ended("interrupted"), run: "r2" })
  assert.equal(states(cells), "remembered remembered planned", "the wait is over")
})

test("a stale chunk that is queued says so over its old picture", () => {
  const cells = ran("a b")
  cells.wanted("w", [plan("+a c", { run: undefined })])
  const waits = () => cells.cellsOf("w", "5").map(({ clip, stale, waits }) => [clip, stale, waits].join(" "))
  assert.deepEqual(waits(), ["a.mp4 false false", "b.mp4 true false"])
  cells.runs.queued("w")
  assert.deepEqual(waits(), ["a.mp4 false false", "b.mp4 true true"])
  cells.runs.planned("w", plan("+a c", { run: "r2" }))
  assert.deepEqual(waits(), ["a.mp4 false false", " false false"])
})

test("what another workflow has made is stale after an edit, too", () => {
  const cells = ran("a b")
  cells.wanted("copy", [plan("+a +b", { run: undefined })])
  cells.wanted("copy", [plan("+a c", { run: undefined })])
  assert.equal(clips(cells, "5", "copy"), "a.mp4 b.mp4")
  assert.deepEqual(cells.cellsOf("copy", "5").map(({ stale }) => stale), [false, true])
})

test("a failure is told until the graph is another one", () => {
  const cells = ran("a b", "failed")
  cells.wanted("w", [plan("a b", { run: undefined })])
  assert.equal(cells.summaryOf("w", "5").sentence, "no room")
  cells.wanted("w", [plan("a c", { run: undefined })])
  assert.deepEqual([cells.summaryOf("w", "5").status, cells.summaryOf("w", "5").sentence], ["", ""])
})

test("stills sharpen and never blur again, for every chunk in flight", () => {
  const cells = new Cells()
  cells.runs.planned("w", plan("a b"))
  for (const each of [still("a", 0.2), still("b", 0.1), still("a", 0.6), still("a", 0.4)]) cells.runs.pictured("w", each)
  assert.deepEqual(cells.cellsOf("w", "5").map(({ still }) => still.t), [0.6, 0.1])
})

test("remembered and kept chunks show their clips", () => {
  const cells = ran("=k +m")
  assert.equal(clips(cells), "k.mp4 m.mp4")
  assert.equal(states(cells), "kept remembered")
})

test("what is wanted and was not made makes its place stale, and what was made stays to be seen", () => {
  const cells = ran("a b c")
  cells.wanted("w", [plan("+a x y")])
  assert.deepEqual(stale(cells), [1, 2])
  assert.equal(clips(cells), "a.mp4 b.mp4 c.mp4")
  assert.equal(cells.summaryOf("w", "5").toMake, 2)
})

test("with an edit taken back, the old clips are there at once", () => {
  const cells = ran("a b c")
  cells.wanted("w", [plan("+a x y")])
  cells.runs.planned("w", plan("+a x y", { run: "s" }))
  for (const key of ["x", "y"]) cells.runs.filmed("w", clip(key, { run: "s" }))
  cells.runs.ended("w", { ...ended("done"), run: "s" })
  assert.equal(clips(cells), "a.mp4 x.mp4 y.mp4")
  cells.wanted("w", [plan("+a +b +c")])
  assert.deepEqual(stale(cells), [])
  assert.equal(clips(cells), "a.mp4 b.mp4 c.mp4")
  assert.equal(states(cells), "remembered remembered remembered")
})

test("places being edited are stale at once, until the server has said what is", () => {
  const cells = ran("a b c d")
  cells.edited("w", "5", [[1, 3]])
  assert.deepEqual(stale(cells), [1, 2])
  cells.wanted("w", [plan("+a +b +c +d")])
  assert.deepEqual(stale(cells), [])
})

test("behind what is not made yet, keys are not known, and staleness is not certain", () => {
  const cells = ran("a b")
  cells.wanted("w", [plan("? ?", { exact: false })])
  assert.deepEqual(cells.cellsOf("w", "5").map(({ stale, exact }) => [stale, exact]), [[true, false], [true, false]])
  assert.equal(cells.summaryOf("w", "5").exact, false)
})

test("a place where nothing was made is not stale, it is to be made", () => {
  const cells = new Cells()
  cells.runs.planned("w", plan("a b c"))
  cells.runs.filmed("w", clip("a"))
  cells.runs.ended("w", ended("interrupted"))
  cells.wanted("w", [plan("x y z")])
  assert.deepEqual(stale(cells), [0])
  assert.equal(states(cells), "done planned planned")
})

test("a graph that cannot run yet makes nothing stale", () => {
  const cells = ran("a b")
  cells.wanted("w", [{ node_id: "5", error: "width must be a multiple of 16" }])
  assert.deepEqual(stale(cells), [])
})

test("cells added to the plan are to be made; cells taken away are gone", () => {
  const cells = ran("a")
  cells.wanted("w", [plan("+a b c")])
  assert.equal(states(cells), "remembered planned planned".replace("remembered", "done"))
  assert.deepEqual(stale(cells), [])
  cells.wanted("w", [plan("+a")])
  assert.equal(cells.cellsOf("w", "5").length, 1)
})

test("what was asked while a run went on does not undo what it finished", () => {
  const cells = new Cells()
  cells.runs.planned("w", plan("a b"))
  cells.wanted("w", [plan("a b")])
  cells.runs.filmed("w", clip("a"))
  assert.equal(states(cells), "done queued")
  cells.runs.filmed("w", clip("b"))
  cells.runs.ended("w", ended("done"))
  assert.equal(states(cells), "done done")
})

test("a chunk that nothing holds any more must be made again, and still shows what is left of it", () => {
  const cells = ran("a b")
  cells.gone("b")
  cells.wanted("w", [plan("+a b")])
  assert.equal(states(cells), "done lost")
  assert.equal(cells.cellsOf("w", "5")[1].still.t, 1)
})

test("an interrupt leaves what is done, and the rest to be made", () => {
  const cells = new Cells()
  cells.runs.planned("w", plan("a b c"))
  cells.runs.filmed("w", clip("a"))
  cells.runs.progressed("w", progress(["b", 3]))
  cells.runs.ended("w", ended("interrupted"))
  assert.equal(states(cells), "done planned planned")
  assert.equal(cells.summaryOf("w", "5").status, "interrupted")
})

test("after a failure the cells that were not made say so, with the sentence", () => {
  const cells = ran("=k a", "failed")
  assert.equal(states(cells), "kept failed")
  assert.equal(cells.summaryOf("w", "5").sentence, "no room")
})

test("an extend begins at its own first chunk", () => {
  const cells = new Cells()
  cells.runs.planned("w", plan("a b", { first: 6 }))
  assert.deepEqual(cells.cellsOf("w", "5").map(({ index }) => index), [6, 7])
})

test("two workflows with the same node ids do not meet, except where they made the very same chunk", () => {
  const cells = ran("a b")
  cells.runs.planned("v", plan("+a x", { prompt_id: "q", run: "s" }))
  assert.equal(clips(cells, "5", "v"), "a.mp4 ")
  assert.equal(clips(cells), "a.mp4 b.mp4")
  assert.equal(states(cells, "5", "v"), "remembered queued")
})

test("what a run has made is not to be made any more", () => {
  assert.equal(ran("a b").summaryOf("w", "5").toMake, 0)
})

test("another run on a node begins anew", () => {
  const cells = ran("a b", "failed")
  cells.runs.planned("w", plan("a b", { run: "s" }))
  assert.equal(states(cells), "queued queued")
  assert.equal(cells.summaryOf("w", "5").sentence, "")
})

const remembered = (keys, more = {}) => ({
  plan: plan(keys),
  progress: { flight: [{ index: 1, key: "b", stage: 2, stages: 4, t: 0.3 }], step: 2, steps: 9, seconds_left: 4 },
  status: "running",
  sentence: "",
  words: { a: { prompt: "a red ball" } },
  stills: { a: 1, b: 0.3 },
  clips: { a: "a.mp4" },
  ...more,
})

test("after a restart of the server, what it still has is shown, and the rest must be made", () => {
  const cells = new Cells()
  cells.recalled("w", { 5: remembered("a b c", { status: "done", progress: null, clips: {} }) }, cells.clock)
  cells.wanted("w", [plan("a b c")])
  assert.deepEqual(cells.cellsOf("w", "5").map(({ state, words }) => [state, words])[0], ["lost", "a red ball"])
})

test("a page that opens in the middle of a run gets plan, flight, stills, clips and words", () => {
  const cells = new Cells()
  cells.recalled("w", { 5: remembered("a b c") }, cells.clock)
  assert.equal(states(cells), "done denoising queued")
  assert.equal(cells.cellsOf("w", "5")[0].words, "a red ball")
  assert.deepEqual(cells.cellsOf("w", "5").map(({ still }) => still?.t), [1, 0.3, undefined])
})

test("what is heard while the server is asked is newer than its answer", () => {
  const cells = new Cells()
  const asked = cells.clock
  cells.runs.progressed("w", progress(["c", 1]))
  cells.recalled("w", { 5: remembered("a b c") }, asked)
  assert.equal(states(cells), "done queued denoising")
  cells.runs.ended("w", ended("done"))
  cells.recalled("w", { 5: remembered("a b c") }, asked)
  assert.equal(states(cells).includes("denoising"), false)
})

test("whoever subscribed hears whose cells changed, until they stop", () => {
  const cells = new Cells(), heard = []
  const stop = cells.subscribe((workflow, id) => heard.push(`${workflow}/${id}`))
  cells.runs.planned("w", plan("a"))
  cells.runs.pictured("v", still("a", 0.5, { node_id: "1:2" }))
  stop()
  cells.runs.ended("w", ended("done"))
  assert.deepEqual(heard, ["w/5", "v/1:2"])
})
