import assert from "node:assert/strict"
import { test } from "node:test"
import { Sounds } from "../../js/desk/sounds.js"
import { outline } from "../../js/desk/wave.js"

const SOUND = { key: "s", seconds: 2, rate: 4, peaks: [0, 0, 255, 255, 0, 0, 0, 128], filename: "s.m4a" }

test("a sound is asked for once, and again where it was not there", async () => {
  const asked = []
  let there = false
  let came = 0
  const ask = async (key) => (asked.push(key), there ? SOUND : null)
  const sounds = new Sounds(ask, () => came++)
  assert.equal(sounds.get("s"), undefined)
  await null
  assert.equal(sounds.get("s"), undefined)
  assert.deepEqual([asked, came], [["s"], 0])
  there = true
  sounds.again()
  sounds.get("s")
  await new Promise(setImmediate)
  assert.deepEqual([sounds.get("s"), asked, came], [SOUND, ["s", "s"], 1])
  sounds.again()
  assert.equal(sounds.get("s"), SOUND, "what is here stays")
})

test("a shape is high where it is loud, at the place where that is", () => {
  const points = outline(SOUND, 0, 2).slice(1, -1).split("L").map((point) => point.split(",").map(Number))
  const loudest = points.filter(([, y]) => y === -1).map(([x]) => x)
  assert.deepEqual(loudest, [312.5, 437.5])
  assert.equal(points.length, 16, "above and below")
  assert.ok(points.every(([, y]) => Math.abs(y) >= 0.03), "silence is a line")
})

test("a shape begins and ends with its sound", () => {
  assert.equal(outline(SOUND, 2, 4), "")
  assert.equal(outline(SOUND, -4, 0), "")
  const [first] = outline(SOUND, -2, 2).slice(1).split(",")
  assert.equal(Number(first), 531.3, "the half before it is empty")
})

test("a long part has no more columns than can be seen", () => {
  const peaks = Array.from({ length: 16000 }, (_, i) => (i === 7777 ? 255 : 1))
  const path = outline({ ...SOUND, seconds: 4000, peaks }, 0, 4000)
  assert.ok(path.split("L").length <= 801)
  assert.ok(path.includes(",-1.00"), "a single peak is not lost")
})
