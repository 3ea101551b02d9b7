import assert from "node:assert/strict"
import { test } from "node:test"
import { promptsOfShown } from "../../js/magi/prompts.js"

test("a prompt of another workflow is not ours", async () => {
  const isOurs = promptsOfShown(() => "mine", async (prompt) => ({ a: "mine", b: "theirs" })[prompt])
  assert.equal(await isOurs("a"), true)
  assert.equal(await isOurs("b"), false)
  assert.equal(await isOurs("a"), true)
})

test("a prompt of which nobody knows who queued it is ours", async () => {
  assert.equal(await promptsOfShown(() => "mine", async () => undefined)("a"), true)
})

test("the server is asked once for the events of a prompt", async () => {
  let questions = 0
  const isOurs = promptsOfShown(() => "mine", async () => `${++questions}`)
  await Promise.all([isOurs("a"), isOurs("a"), isOurs("a")])
  await isOurs("a")
  assert.equal(questions, 1)
})

test("what counts is the workflow that is shown when the answer comes", async () => {
  let shown = "mine"
  const answer = promptsOfShown(() => shown, async () => "mine")("a")
  shown = "another"
  assert.equal(await answer, false)
})

test("answers keep the order of the questions, also when the server is slower with the first", async () => {
  const answers = {}
  const isOurs = promptsOfShown(() => "mine", (prompt) => new Promise((resolve) => (answers[prompt] = resolve)))
  const order = []
  const asked = ["a", "a", "b"].map((prompt) => isOurs(prompt).then(() => order.push(prompt)))
  answers.b("mine")
  await new Promise(setImmediate)
  assert.deepEqual(order, [])
  answers.a("mine")
  await Promise.all(asked)
  assert.deepEqual(order, ["a", "a", "b"])
})
