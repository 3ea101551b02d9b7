// What is known of a node that samples: its plans, how its run goes, and what is said of it as a whole. No DOM.

/** @typedef {import("../magi/api.js").Flight} Flight */
/** @typedef {import("../magi/api.js").Plan} Plan */
/** @typedef {import("../magi/api.js").Remembered} Remembered */

/**
 * How the run of a node stands. "": no run is known.
 * @typedef {"" | "running" | "done" | "interrupted" | "failed"} Status
 */

/**
 * How fast a run is. `toldAt`: when that was heard, by the page's clock in milliseconds.
 * @typedef {{ secondsLeft: number | null, toldAt: number, step: number, steps: number }} Pace
 */

/**
 * @typedef {object} Node
 * @property {string} prompt whose run it is
 * @property {string} run
 * @property {Plan | undefined} ran what the newest run announced
 * @property {Plan | undefined} wanted what the graph asks for, as it is now; undefined: not asked since the run
 * @property {readonly (readonly [number, number])[]} edited places changed since then, from and up to: shown as stale at once
 * @property {readonly Flight[]} flight
 * @property {Set<string>} finished keys that this run has finished
 * @property {boolean} waits queued, and not begun yet
 * @property {Status} status
 * @property {string} sentence
 * @property {string | undefined} failed keys of the plan, or its error, that was asked for when the run had failed
 * @property {Pace} pace
 * @property {Record<string, string>} words by key
 * @property {number} heard when, by the clock of `Cells`
 */

/**
 * What is said of a node as a whole.
 * @typedef {object} Summary
 * @property {Status} status
 * @property {string} sentence what went wrong, or ""
 * @property {number | null} secondsLeft of the run that goes on, when it was told
 * @property {number} toldAt when that was, by the page's clock in milliseconds
 * @property {number} step forwards done of the run that goes on, when it was told
 * @property {number} toldAt when that was, by the page's clock in milliseconds
 * @property {number} steps
 * @property {number} fps
 * @property {number} width
 * @property {number} height
 * @property {number} first index of the first cell
 * @property {number} cost chunk-forwards that the next run takes
 * @property {number | null} seconds that it takes; null: this model and size was not timed yet
 * @property {boolean} exact false: cost is "at most"
 * @property {import("../magi/api.js").Heard | null} sound that is heard with it
 * @property {number} toMake chunks that the next run makes
 */

/** @type {readonly (readonly [number, number])[]} */
const NOWHERE = []

/**
 * A node of which nothing is known.
 * @returns {Node}
 */
export function fresh() {
  const pace = { secondsLeft: null, toldAt: 0, step: 0, steps: 0 }
  const words = /** @type {Record<string, string>} */ ({})
  const run = { prompt: "", run: "", ran: undefined, wanted: undefined, edited: NOWHERE, flight: [], waits: false, failed: undefined }
  return { ...run, finished: new Set(), status: "", sentence: "", pace, words, heard: 0 }
}

/**
 * @param {Node} node
 * @returns {Summary | undefined} undefined where it has no plan
 */
export function summaryOf(node) {
  const plan = node.wanted ?? node.ran
  if (!plan) return undefined
  const { status, sentence, pace } = node
  const { fps, width, height, first, cost, seconds } = plan
  const left = plan === node.ran ? plan.chunks.filter(({ key }) => !node.finished.has(key)) : plan.chunks
  const sound = plan.sound ?? null
  const toMake = left.filter(({ kind }) => kind === "computed").length
  const exact = plan.exact !== false
  return { status, sentence, ...pace, fps, width, height, first, cost, seconds, exact, sound, toMake }
}

/**
 * A step was made.
 * @param {Node} node
 * @param {import("../magi/api.js").Step} progress
 * @param {number} now
 */
export function step(node, progress, now) {
  const flying = new Set(progress.flight.map(({ key }) => key))
  for (const { key } of node.flight) if (!flying.has(key)) node.finished.add(key)
  node.flight = progress.flight
  node.pace = paceOf(progress, now)
}

/**
 * The run is through.
 * @param {Node} node
 * @param {Pick<import("../magi/api.js").Ended, "status" | "sentence">} ended
 */
export function end(node, { status, sentence }) {
  if (status === "done") {
    const flying = new Set(node.flight.map(({ key }) => key))
    for (const { key } of node.ran?.chunks ?? []) if (!flying.has(key)) node.finished.add(key)
  }
  if (node.wanted && node.ran && same(node.wanted, node.ran)) node.wanted = node.ran // asked before all was made
  Object.assign(node, { status, sentence, flight: [], pace: fresh().pace })
}

/**
 * What the server remembers of the node, and of the chunks of its earlier plans.
 * @param {Node} node
 * @param {Remembered} remembered
 * @param {boolean} newer whether the node was heard since it was asked
 * @param {import("./pictures.js").Pictures} pictures
 * @param {number} now
 */
export function recall(node, remembered, newer, pictures, now) {
  const { plan, progress, status, sentence, words, stills, clips } = remembered
  for (const [key, filename] of Object.entries(clips)) pictures.addClip(key, filename)
  for (const [key, t] of Object.entries(stills)) pictures.foundStill(key, t)
  for (const [key, { prompt }] of Object.entries(words)) node.words[key] = prompt ?? ""
  if (!plan || (newer && node.ran && node.run !== plan.run)) return
  node.ran ??= plan
  node.wanted ??= plan
  for (const { key } of plan.chunks) if (status === "done" || pictures.isMade(key)) node.finished.add(key)
  if (newer) return
  Object.assign(node, { prompt: plan.prompt_id, run: plan.run, ran: plan, status, sentence })
  node.flight = progress?.flight ?? []
  if (progress) node.pace = paceOf(progress, now)
}

/**
 * A failure is told as long as the graph is the one that failed.
 * @param {Node} node
 * @param {Plan} plan of the graph as it is now
 * @returns {boolean} whether the failure is not told any more
 */
export function forgive(node, { error, chunks }) {
  if (node.status !== "failed") return false
  const now = error || chunks.map(({ key }) => key).join()
  node.failed ??= now
  if (node.failed === now) return false
  Object.assign(node, { status: "", sentence: "" })
  return true
}

/**
 * @param {import("../magi/api.js").Step} step
 * @param {number} toldAt
 * @returns {Pace}
 */
function paceOf({ seconds_left: secondsLeft, step, steps }, toldAt) {
  return { secondsLeft, toldAt, step, steps }
}

/**
 * Whether both ask for the same chunks.
 * @param {Plan} a
 * @param {Plan} b
 */
function same(a, b) {
  return a.chunks.length === b.chunks.length && a.chunks.every(({ key }, i) => key !== "" && key === b.chunks[i]?.key)
}
