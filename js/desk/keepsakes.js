// What desks knew whose nodes are gone: ComfyUI's undo and a change of workflows make all nodes anew, and so does a reload
// of the page, over which the tab's own storage carries it. No DOM.
import { near } from "./history.js"
import { isStory, taken } from "./story.js"

const MOST = 50
const STORED = "magi.desk" // in the session storage: of this tab, until it is closed
const ROOM = 300_000 // characters there: others store things, too
const STEPS = 64 // of one desk there, before and behind

/** @typedef {import("./storyboard.js").Keepsake} Keepsake */

/** @type {Map<string, Keepsake>} */
const kept = new Map(stored())

/**
 * @param {string} workflow
 * @param {string} path of the node
 * @param {Keepsake} keepsake
 */
export function keep(workflow, path, keepsake) {
  const key = `${workflow} ${path}`
  kept.delete(key)
  kept.set(key, keepsake)
  if (kept.size > MOST) kept.delete(/** @type {string} */ (kept.keys().next().value))
}

/**
 * What was kept of a node, once.
 * @param {string} workflow
 * @param {string} path
 */
export function takeKept(workflow, path) {
  const key = `${workflow} ${path}`
  const keepsake = kept.get(key)
  kept.delete(key)
  return keepsake
}

/** The page is left: store what is kept, the newest first, as far as there is room. */
export function store() {
  const entries = []
  let room = ROOM
  for (const [key, keepsake] of [...kept].reverse()) {
    const entry = within(key, keepsake, room)
    if (!entry) continue
    entries.unshift(entry)
    room -= entry.length
  }
  try {
    sessionStorage.setItem(STORED, `[${entries.join(",")}]`)
  } catch {
    // full, or forbidden: then a reload forgets
  }
}

/**
 * The JSON of an entry, with as many steps as there is room for; undefined where there is none.
 * @param {string} key
 * @param {Keepsake} keepsake
 * @param {number} room in characters
 */
function within(key, keepsake, room) {
  for (let steps = STEPS; steps >= 1; steps = Math.floor(steps / 2)) {
    const entry = JSON.stringify([key, { ...keepsake, history: near(keepsake.history, steps) }])
    if (entry.length < room) return entry
  }
  return undefined
}

/**
 * @returns {[string, Keepsake][]}
 */
function stored() {
  try {
    const entries = JSON.parse(sessionStorage.getItem(STORED) ?? "[]")
    const whole = entries.filter((/** @type {unknown[]} */ [key, keepsake]) => typeof key === "string" && isWhole(keepsake))
    for (const [, { history }] of whole) for (const story of storiesOf(history)) taken(story)
    return whole
  } catch {
    return [] // none of ours, or forbidden
  }
}

/** @param {any} keepsake */
function isWhole({ history, tab, view }) {
  const numbers = [view.chunkWidth, view.scrollLeft, view.cursor]
  return storiesOf(history).every(isStory) && typeof tab === "string" && numbers.every(Number.isFinite)
}

/** @param {import("./history.js").History} history */
function storiesOf({ past, now, future }) {
  return [...past, now, ...future]
}
