// A storyboard as a value: every function returns a new one. No DOM, and no grammar: that is Python's.
//
// A story is a row of blocks. A block is one line of the storyboard and the chunks behind it that no line names, so that
// blocks lie side by side from chunk 0 on, and what follows moves along by itself when one is put in or taken out.
// What can be done to it is in edits.js, undo in history.js, what an edit makes stale in stale.js.

/** @typedef {import("../magi/api.js").Line} Line */
/** @typedef {"continue" | "new_shot" | "restyle" | "cut"} Transition */

/**
 * What is said about a block; what is left out says nothing.
 * @typedef {object} Said
 * @property {string} prompt
 * @property {Transition} [transition] of its first chunk
 * @property {number} [reroll]
 * @property {readonly number[]} [ranges]
 * @property {readonly string[]} [tokens]
 * @property {boolean} [echo]
 * @property {string} [source] the line as it was typed, with the comments before it
 */

/** @typedef {Said & { id: number, length: number, held: number }} Block
 * `id` stays through all edits. `length`: chunks of the line. `held`: chunks behind it that no line names. */
/** @typedef {Block & { first: number, last: number, end: number }} Placed last: of the line; end: of the block */
/** @typedef {readonly Block[]} Story */

export const TRANSITIONS = /** @type {const} */ (["continue", "new_shot", "restyle", "cut"])
export const MOST_CHUNKS = 100_000
const TAGS = /** @type {const} */ (["transition", "reroll", "ranges", "tokens", "echo"])

let newest = 0

/**
 * @param {readonly Line[]} lines as the server reads them, in any order
 * @returns {Story}
 */
export function fromLines(lines) {
  const sorted = [...lines].sort((a, b) => a.first - b.first)
  return sorted.map(({ first, last, ...said }, i) => {
    const next = sorted[i + 1]?.first ?? last + 1
    return block(/** @type {Said} */ (said), last - first + 1, next - last - 1)
  })
}

/**
 * @param {Story} story
 * @returns {Line[]}
 */
export function toLines(story) {
  return place(story).map(({ id: _id, length: _length, held: _held, end: _end, ...line }) => /** @type {Line} */ (line))
}

/** @type {WeakMap<Story, readonly Placed[]>} */
const places = new WeakMap()

/**
 * The blocks and where they lie.
 * @param {Story} story
 * @returns {readonly Placed[]}
 */
export function place(story) {
  let placed = places.get(story)
  if (!placed) {
    let first = 0
    placed = story.map((each) => {
      const put = { ...each, first, last: first + each.length - 1, end: first + span(each) - 1 }
      first += span(each)
      return put
    })
    places.set(story, placed)
  }
  return placed
}

/** @param {Story} story */
export function count(story) {
  return (place(story).at(-1)?.last ?? -1) + 1
}

/**
 * @param {Story} story
 * @param {number} chunk
 * @returns {Placed | undefined}
 */
export function blockAt(story, chunk) {
  return place(story).find(({ end }) => chunk <= end)
}

/**
 * `lines` as a story, with the ids of the blocks of `before` that lie at the same place: so a selection stays while
 * somebody types.
 * @param {readonly Line[]} lines
 * @param {Story} before
 * @returns {Story}
 */
export function again(lines, before) {
  const ids = new Map(place(before).map(({ first, id }) => [first, id]))
  const placed = place(fromLines(lines))
  return placed.map(({ first, last: _last, end: _end, ...each }) => ({ ...each, id: ids.get(first) ?? each.id }))
}

/**
 * The lines of some blocks, side by side from chunk 0 on: what is copied.
 * @param {Story} story
 * @param {readonly number[]} ids
 * @returns {Line[]}
 */
export function linesOf(story, ids) {
  return toLines(story.filter(({ id }) => ids.includes(id)).map(({ source: _source, ...each }) => each))
}

/**
 * Whether something that was stored is a story.
 * @param {unknown} value
 * @returns {value is Story}
 */
export function isStory(value) {
  return Array.isArray(value) && value.every((each) => {
    const { id, length, held, prompt } = each ?? {}
    return [id, length, held].every(Number.isSafeInteger) && length > 0 && held >= 0 && typeof prompt === "string"
  })
}

/**
 * No block made from now on gets the id of one of a story of another page.
 * @param {Story} story
 */
export function taken(story) {
  for (const { id } of story) newest = Math.max(newest, id)
}

/**
 * Whether two stories say the same.
 * @param {Story} a
 * @param {Story} b
 */
export function sameStory(a, b) {
  if (a === b) return true
  return a.length === b.length && a.every((each, i) => sameBlock(each, /** @type {Block} */ (b[i])))
}

// -----------------------------------------------------------------------------------------------------------------------

/** @param {Block} a @param {Block} b */
function sameBlock(a, b) {
  return a === b || (a.length === b.length && a.held === b.held && says(a) === says(b))
}

/**
 * @param {Said} said
 * @param {number} length
 * @param {number} held
 * @returns {Block}
 */
export function block(said, length, held) {
  return tidy({ ...said, id: ++newest, length, held })
}

/** @param {Block} each */
function span({ length, held }) {
  return length + held
}

/**
 * Without what says nothing, and with white space as the server counts it.
 * @param {Block} each
 * @returns {Block}
 */
export function tidy(each) {
  /** @type {Record<string, unknown>} */
  const kept = { ...each, prompt: each.prompt.split(/\s+/).filter(Boolean).join(" ") }
  for (const tag of TAGS) {
    const value = kept[tag]
    const silent = value === undefined || value === null || value === false || value === 0 || value === "continue"
    if (silent || (tag === "ranges" && /** @type {unknown[]} */ (value).length === 0)) delete kept[tag]
  }
  if (kept.source === undefined) delete kept.source
  return /** @type {Block} */ (kept)
}

/** @param {Said} said */
export function says(said) {
  return JSON.stringify([said.prompt, ...TAGS.map((tag) => said[tag] ?? null)])
}
