import assert from "node:assert/strict"
import { test } from "node:test"
import { answered, askedOf, onAnswered, samplerOf, whyNot } from "../../js/desk/asked.js"

const node = (class_type, inputs = {}) => ({ class_type, inputs })
const GRAPH = {
  "1:3": node("MagiStoryboard", { text: "0: a" }),
  4: node("ConditioningPassThrough", { given: ["1:3", 0] }),
  5: node("MagiChunkSampler", { conditioning: ["4", 0], width: 128 }),
  6: node("MagiTextEncode"),
  7: node("MagiExtend", { conditioning: ["6", 0], state: ["5", 0] }),
  8: node("MagiStoryboard", { text: "0: b" }),
  9: node("MagiStoryboard", { text: "0: c" }),
  10: node("MagiSecondPass", { conditioning: ["9", 0], state: ["5", 0] }),
  11: node("MagiTextEncode"),
  12: node("MagiRetouch", { conditioning: ["11", 0], state: ["10", 0] }),
}

test("the node that samples a storyboard is found, also behind others and out of a subgraph", () => {
  let heard = 0
  onAnswered(() => heard++)
  answered(GRAPH, [{ node_id: "5", error: "the prefix is not made yet" }])
  assert.equal(samplerOf("1:3"), "5")
  assert.equal(samplerOf("6"), "7")
  assert.equal(samplerOf("8"), "")
  assert.equal(samplerOf("9"), "10")
  assert.equal(samplerOf("11"), "12")
  assert.equal(askedOf("1:3", "text"), "0: a")
  assert.equal(whyNot("5"), "the prefix is not made yet")
  assert.equal(whyNot("7"), "")
  assert.equal(heard, 1)
})
