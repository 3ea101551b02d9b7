// Undo and redo of a storyboard, as a value. No DOM.
import { sameStory } from "./story.js"

/** @typedef {import("./story.js").Story} Story */

const MOST = 200 // steps
const NEAR = 20 // of them that a story from elsewhere is looked for in

/**
 * @typedef {object} History
 * @property {readonly Story[]} past
 * @property {Story} now
 * @property {readonly Story[]} future the next one first
 */

/**
 * @param {Story} story
 * @returns {History}
 */
export function begin(story) {
  return { past: [], now: story, future: [] }
}

/**
 * @param {History} history
 * @param {Story} story
 * @returns {History} the same one where nothing changed
 */
export function did(history, story) {
  if (sameStory(history.now, story)) return history
  return { past: [...history.past, history.now].slice(-MOST), now: story, future: [] }
}

/**
 * @param {History} history
 * @returns {History}
 */
export function undo({ past, now, future }) {
  const story = past.at(-1)
  return story ? { past: past.slice(0, -1), now: story, future: [now, ...future] } : { past, now, future }
}

/**
 * @param {History} history
 * @returns {History}
 */
export function redo({ past, now, future }) {
  const [story, ...rest] = future
  return story ? { past: [...past, now], now: story, future: rest } : { past, now, future }
}

/**
 * Only the next steps, on both sides.
 * @param {History} history
 * @param {number} steps
 * @returns {History}
 */
export function near({ past, now, future }, steps) {
  return { past: past.slice(-steps), now, future: future.slice(0, steps) }
}

/**
 * The history of a story that was taken from elsewhere, such as ComfyUI's own undo: where it was there a few steps before
 * or behind, that is where the history is then.
 * @param {History} history
 * @param {Story} story
 * @returns {History | undefined} undefined: it was not
 */
export function arrive(history, story) {
  for (const step of [undo, redo]) {
    let at = history
    for (let steps = 0; steps <= NEAR; steps++) {
      if (sameStory(at.now, story)) return at
      at = step(at)
    }
  }
  return undefined
}
