// Which clips a node shows. Values: every function returns a new row.

/** @typedef {import("../magi/api.js").Clip} Clip */

/**
 * @typedef {object} Row
 * @property {string} prompt id of the prompt whose clips they are
 * @property {string} run
 * @property {readonly Clip[]} clips oldest first
 */

export const MOST = 12 // clips on a node; older ones make room

/** @type {Row} */
export const EMPTY = { prompt: "", run: "", clips: [] }

/**
 * The row when its node is at work for `prompt`: what it showed stays until then, also after an interrupt.
 * @param {Row} row
 * @param {string} prompt
 * @returns {Row}
 */
export function begun(row, prompt) {
  return row.prompt === prompt ? row : { ...EMPTY, prompt }
}

/**
 * @param {Row} row
 * @param {Clip} clip
 * @returns {Row}
 */
export function withClip(row, clip) {
  const { prompt_id: prompt, run } = clip
  const before = row.prompt === prompt && row.run === run ? row.clips : []
  return { prompt, run, clips: [...before, clip].slice(-MOST) }
}
