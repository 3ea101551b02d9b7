// What the server tells and answers. The only file that talks to ComfyUI's `api`.
import { api } from "../../../scripts/api.js"

// Events -------------------------------------------------------------------------------------------------------------

/**
 * Where something happens.
 * @typedef {object} Place
 * @property {string} prompt_id
 * @property {string} node_id inside subgraphs a path, "1:2:3"
 * @property {string} run a node can run more than once in a prompt
 */

/**
 * A chunk of a plan. key: digest of everything that it depends on; "" where what comes before it is not known.
 * @typedef {{ index: number, key: string, kind: "kept" | "remembered" | "computed", words?: string }} PlannedChunk
 */

/**
 * Which sound is heard with a video. start: seconds on the ruler at which it begins.
 * @typedef {{ key: string, start: number }} Heard
 */

/**
 * What a node does, or would do.
 * @typedef {object} Plan
 * @property {string} node_id
 * @property {number} first index of `chunks[0]`
 * @property {readonly PlannedChunk[]} chunks
 * @property {number} cost in chunk-forwards
 * @property {number | null} seconds null: this model and size was not timed yet
 * @property {number} fps
 * @property {number} width
 * @property {number} height
 * @property {readonly string[]} notes
 * @property {Heard | null} [sound] null: none is heard with it
 * @property {Readonly<Record<string, string>>} [clips] that are there of its chunks, by key: file names
 * @property {Readonly<Record<string, number>>} [stills] by key, how clean they are; 1: finished
 * @property {boolean} [exact] false: what comes in is not made yet, and cost is "at most"
 * @property {string} [error] why there is no plan
 */

/** @typedef {Plan & Place} RunPlan */
/** @typedef {{ index: number, key: string, stage: number, stages: number, t: number }} Flight stage: how many it has behind it */

/**
 * @typedef {object} Step
 * @property {readonly Flight[]} flight chunks that are being denoised
 * @property {number} done
 * @property {number} chunks
 * @property {number} step
 * @property {number} steps
 * @property {number | null} seconds_left null until known
 */

/** @typedef {Place & Step} Progress */
/** @typedef {Place & { index: number, key: string, t: number, jpeg: string }} StillMade jpeg: base64 */
/** @typedef {Place & { index: number, key: string, filename: string }} Clip filename: of a temporary file */
/** @typedef {Place & { status: "done" | "interrupted" | "failed", sentence: string }} Ended */

const text = (/** @type {unknown} */ value) => typeof value === "string"
const number = (/** @type {unknown} */ value) => Number.isFinite(value)
/** @param {any} value @param {(each: any) => boolean} is */
const list = (value, is) => Array.isArray(value) && value.every((each) => Object(each) === each && is(each))
/** What must be so of each event, beside its place. */
const EVENTS = {
  "magi.plan": (/** @type {any} */ { first, chunks }) => number(first) && list(chunks, ({ index, key }) => number(index) && text(key)),
  "magi.progress": (/** @type {any} */ { flight }) => list(flight, ({ index, key, stage }) => number(index) && text(key) && number(stage)),
  "magi.still": (/** @type {any} */ { key, t, jpeg }) => text(key) && number(t) && text(jpeg),
  "magi.clip": (/** @type {any} */ { key, filename }) => text(key) && text(filename),
  "magi.ended": (/** @type {any} */ { status, sentence }) => text(status) && text(sentence),
}

/** Tell ComfyUI which events there are: it warns of those that come before anybody listens to them. */
export function introduceEvents() {
  for (const event of /** @type {(keyof typeof EVENTS)[]} */ (Object.keys(EVENTS))) api.addEventListener(event, () => undefined)
}

/**
 * Hear an event of this pack. What is not as docs/desk.md has it is from somebody else, and means nothing.
 * @param {keyof typeof EVENTS} event
 * @param {(detail: any) => void} listener
 */
function hear(event, listener) {
  api.addEventListener(event, ({ detail }) => {
    const whole = Object(detail) === detail && [detail.prompt_id, detail.node_id, detail.run].every(text)
    if (whole && EVENTS[event](detail)) listener(detail)
  })
}

/** @param {(plan: RunPlan) => void} listener a node is about to sample */
export function onPlan(listener) {
  hear("magi.plan", listener)
}

/** @param {(progress: Progress) => void} listener a step was made */
export function onProgress(listener) {
  hear("magi.progress", listener)
}

/** @param {(still: StillMade) => void} listener there is a picture of a chunk */
export function onStill(listener) {
  hear("magi.still", listener)
}

/** @param {(clip: Clip) => void} listener a chunk can be played */
export function onClip(listener) {
  hear("magi.clip", listener)
}

/** @param {(ended: Ended) => void} listener a node is through */
export function onEnded(listener) {
  hear("magi.ended", listener)
}

/** @param {() => void} listener the workflow that is shown was queued */
export function onQueued(listener) {
  api.addEventListener("promptQueued", listener)
}

/** @param {() => void} listener nothing is queued any more */
export function onIdle(listener) {
  api.addEventListener("status", ({ detail }) => {
    if (detail?.exec_info?.queue_remaining === 0) listener()
  })
}

/** @param {() => void} listener the graph may have been changed, by the user or by loading another one */
export function onGraphChanged(listener) {
  api.addEventListener("graphChanged", listener)
}

/** @param {() => void} listener the server is there again; it may be another one */
export function onReconnected(listener) {
  api.addEventListener("reconnected", listener)
}

/**
 * A node that failed.
 * @typedef {object} Failure
 * @property {string} prompt_id
 * @property {string} node_id
 * @property {string} node_type
 * @property {string} exception_type Python's class, with its module
 * @property {string} exception_message
 */

/** @param {(failure: Failure) => void} listener */
export function onFailure(listener) {
  api.addEventListener("execution_error", ({ detail }) => listener(detail))
}

/**
 * A line under a node.
 * @typedef {object} Note
 * @property {string} nodeId
 * @property {string} text
 */

/** @param {(note: Note) => void} listener */
export function onNote(listener) {
  api.addEventListener("progress_text", ({ detail }) => listener(detail))
}

/**
 * What a node says of one of its inputs when the graph is queued.
 * @typedef {object} Refusal
 * @property {string} node_id
 * @property {string} class_type
 * @property {string} type "custom_validation_failed" where the node itself said it
 * @property {string} details
 */

/**
 * ComfyUI tells nobody but who queued: so this listens to what it answers.
 * @param {(refusals: Refusal[]) => void} listener
 */
export function onRefused(listener) {
  const queuePrompt = api.queuePrompt
  api.queuePrompt = function (...prompt) {
    const answer = queuePrompt.apply(this, prompt)
    answer.catch((error) => listener(refusalsOf(error))) // ComfyUI gets the error too, as if this were not here
    return answer
  }
}

/**
 * @param {any} error
 * @returns {Refusal[]}
 */
function refusalsOf(error) {
  /** @type {[string, ComfyUI.NodeErrors][]} */
  const nodes = Object.entries(error?.response?.node_errors ?? {})
  return nodes.flatMap(([node_id, { class_type, errors }]) => errors.map((each) => ({ node_id, class_type, ...each })))
}

// Routes -------------------------------------------------------------------------------------------------------------

const NO_ID = "00000000-0000-0000-0000-000000000000" // of a workflow just cleared, until it is loaded again

/**
 * The id of the workflow that a prompt was queued from; undefined where the server does not say.
 * @param {string} promptId
 * @returns {Promise<string | undefined>}
 */
export async function workflowOf(promptId) {
  try {
    const answer = await api.fetchApi(`/jobs/${encodeURIComponent(promptId)}`)
    const { workflow_id: id } = await answer.json()
    return id === NO_ID ? undefined : id
  } catch {
    return undefined // no connection, or no JSON
  }
}

/**
 * What the server remembers of a node: its newest run, and what there is to see of its chunks.
 * @typedef {object} Remembered
 * @property {RunPlan | null} plan
 * @property {Step | null} progress null where none goes on
 * @property {"" | "running" | "done" | "interrupted" | "failed"} status
 * @property {string} sentence
 * @property {Readonly<Record<string, { prompt?: string }>>} words what is asked of a chunk, by key
 * @property {Readonly<Record<string, number>>} stills by key, how clean they are; 1: finished
 * @property {Readonly<Record<string, string>>} clips by key, their file names
 */

/**
 * The newest run of every node of a workflow; none where the server does not answer.
 * @param {string} workflow
 * @returns {Promise<Record<string, Remembered>>}
 */
export async function desk(workflow) {
  try {
    const answer = await api.fetchApi(`/magi/desk?${new URLSearchParams({ workflow })}`)
    return answer.ok ? (await answer.json()).nodes : {}
  } catch {
    return {} // no connection, or no JSON
  }
}

/** The server dropped a question: the same asker has asked again since. */
export class Superseded extends Error {}

/**
 * What the nodes of a graph would do. Rejects where the server says no.
 * @param {unknown} graph as it is queued
 * @param {string} workflow
 * @param {string} asker of what it has asked, only the newest waits
 * @returns {Promise<Plan[]>}
 */
export async function plan(graph, workflow, asker) {
  return (await post("/magi/plan", { graph, workflow, asker })).nodes
}

/**
 * One line of a storyboard; docs/desk.md.
 * @typedef {object} Line
 * @property {number} first chunk
 * @property {number} last chunk
 * @property {string} prompt
 * @property {"continue" | "new_shot" | "restyle" | "cut"} [transition]
 * @property {number} [reroll]
 * @property {readonly number[]} [ranges]
 * @property {readonly string[]} [tokens]
 * @property {boolean} [echo]
 * @property {string} [source] as it was typed, with the comments and blank lines before it
 */

/** @typedef {{ line: number | null, message: string }} Mistake line: from 1 */

/**
 * A storyboard that was read, or what is wrong with it.
 * @typedef {object} Read
 * @property {readonly Line[]} [lines]
 * @property {number} [chunks]
 * @property {"text" | "json"} [form]
 * @property {readonly string[]} [notes]
 * @property {readonly Mistake[]} [errors]
 */

/**
 * What a storyboard says. Rejects where the server does not answer.
 * @param {string} text
 * @param {number} fps
 * @param {string} [asker] of what it has asked, only the newest waits
 * @returns {Promise<Read>}
 */
export function readStoryboard(text, fps, asker) {
  return post("/magi/storyboard/read", { text, fps, asker })
}

/**
 * The text of a storyboard. Rejects where the server says no.
 * @param {readonly Line[]} lines
 * @param {string} form "text" or "json"
 * @param {number} fps
 * @returns {Promise<string>}
 */
export async function writeStoryboard(lines, form, fps) {
  return (await post("/magi/storyboard/write", { lines, form, fps })).text
}

/**
 * @param {string} route
 * @param {unknown} content
 */
async function post(route, content) {
  const headers = { "Content-Type": "application/json" }
  const answer = await api.fetchApi(route, { method: "POST", body: JSON.stringify(content), headers })
  const said = await answer.json()
  if (answer.status === 409) throw new Superseded(said.error)
  if (!answer.ok) throw new Error(said.error)
  return said
}

/**
 * A sound. peaks: the loudest of each 1 / rate s, from 0 to 255. filename: of a temporary file.
 * @typedef {{ key: string, seconds: number, rate: number, peaks: readonly number[], filename: string }} Sound
 */

/**
 * @param {string} key
 * @returns {Promise<Sound | null>} null where the server has none, or does not answer
 */
export async function sound(key) {
  try {
    const answer = await api.fetchApi(`/magi/sound?${new URLSearchParams({ key })}`)
    return answer.ok ? await answer.json() : null
  } catch {
    return null // no connection, or no JSON
  }
}

/**
 * The address of a chunk's small still.
 * @param {string} key
 */
export function stillAddress(key) {
  return api.apiURL(`/magi/still?${new URLSearchParams({ key })}`)
}

/**
 * The address of one of ComfyUI's temporary files.
 * @param {string} filename
 */
export function temporaryFile(filename) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, type: "temp", subfolder: "" })}`)
}
