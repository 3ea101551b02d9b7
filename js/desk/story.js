// A storyboard as a value: every function returns a new one. No DOM, and no grammar: that is Python's.
//
// A story is a row of blocks. A block is one line of the storyboard and the chunks behind it that no line names, so that
// blocks lie side by side from chunk 0 on, and what follows moves along by itself when one is put in or taken out.

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
const MOST_UNDO = 200
const TAGS = /** @type {const} */ (["transition", "reroll", "ranges", "tokens", "echo"])

let newest = 0

// From lines and back ---------------------------------------------------------------------------------------------------

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

// Edits -----------------------------------------------------------------------------------------------------------------

/**
 * Say something else about some blocks. A transition and ranges exclude each other, and so do a cut and echo: the newer
 * one stays.
 * @param {Story} story
 * @param {readonly number[]} ids
 * @param {Partial<Said>} said what is undefined is not said any more
 * @returns {Story}
 */
export function direct(story, ids, said) {
  const only = { ...said }
  if (said.transition && said.transition !== "continue") only.ranges = undefined
  if (said.transition === "cut") only.echo = undefined
  if (said.ranges) only.transition = undefined
  return story.map((each) => {
    if (!ids.includes(each.id)) return each
    const cut = said.echo && each.transition === "cut" ? { transition: undefined } : {}
    return tidy({ ...each, ...only, ...cut })
  })
}

/**
 * Other noise for some blocks.
 * @param {Story} story
 * @param {readonly number[]} ids
 * @returns {Story}
 */
export function reroll(story, ids) {
  return story.map((each) => (ids.includes(each.id) ? tidy({ ...each, reroll: (each.reroll ?? 0) + 1 }) : each))
}

/**
 * Put new lines before the block at `index`; what follows moves along.
 * @param {Story} story
 * @param {number} index from 0 to the number of blocks
 * @param {readonly Partial<Line>[]} lines
 * @returns {[Story, number[]]} the ids of the new ones
 */
export function insert(story, index, lines = [{ prompt: "", first: 0, last: 0 }]) {
  const made = fromLines(lines.map((line) => ({ prompt: "", first: 0, last: 0, ...line })))
  return [[...story.slice(0, index), ...made, ...story.slice(index)], made.map(({ id }) => id)]
}

/**
 * Take blocks out; what follows moves up. One stays: a storyboard has at least one line.
 * @param {Story} story
 * @param {readonly number[]} ids
 * @returns {Story}
 */
export function remove(story, ids) {
  const left = story.filter(({ id }) => !ids.includes(id))
  return left.length ? left : story
}

/**
 * The same again, behind the last of them.
 * @param {Story} story
 * @param {readonly number[]} ids
 * @returns {[Story, number[]]}
 */
export function duplicate(story, ids) {
  const copies = story.filter(({ id }) => ids.includes(id)).map(({ length, held, source: _source, ...said }) => {
    return block(said, length, held)
  })
  const index = behind(story, ids)
  return [[...story.slice(0, index), ...copies, ...story.slice(index)], copies.map(({ id }) => id)]
}

/**
 * Two lines out of one, the second from `chunk` on. It says the same, but what the transition did is done. Out of chunks
 * that no line names comes a line with the prompt and the tokens, which is what they had.
 * @param {Story} story
 * @param {number} chunk
 * @returns {Story} the same one where there is nothing to split
 */
export function split(story, chunk) {
  const whole = blockAt(story, chunk)
  if (!whole || chunk === whole.first) return story
  const { first, last, end, length: _length, held, id, source, transition, ...said } = whole
  const inLine = chunk <= last
  const front = tidy({ id, ...said, transition, source, length: Math.min(chunk, last + 1) - first, held: 0 })
  if (!inLine) front.held = chunk - last - 1
  const { prompt, tokens } = said
  const back = inLine ? block(said, last - chunk + 1, held) : block({ prompt, tokens }, end - chunk + 1, 0)
  return story.flatMap((each) => (each.id === id ? [front, back] : [each]))
}

/**
 * Give a block's line another length; what follows moves along.
 * @param {Story} story
 * @param {number} id
 * @param {number} length at least 1
 * @returns {Story}
 */
export function stretch(story, id, length) {
  const others = count(story) - (story.find((each) => each.id === id)?.length ?? 0)
  const possible = Math.max(1, Math.min(MOST_CHUNKS - others, Math.round(length)))
  const same = story.every((each) => each.id !== id || each.length === possible)
  return same ? story : story.map((each) => (each.id === id ? { ...each, length: possible } : each))
}

/**
 * Put blocks elsewhere, in the order that they have.
 * @param {Story} story
 * @param {readonly number[]} ids
 * @param {number} index before which block they go, counted as they lie now
 * @returns {Story} the same one where nothing moves
 */
export function move(story, ids, index) {
  const moved = story.filter(({ id }) => ids.includes(id))
  const before = story.slice(0, index).filter(({ id }) => !ids.includes(id))
  const after = story.slice(index).filter(({ id }) => !ids.includes(id))
  const all = [...before, ...moved, ...after]
  return all.every(({ id }, i) => id === story[i]?.id) ? story : all
}

/**
 * Blocks one place earlier or later.
 * @param {Story} story
 * @param {readonly number[]} ids
 * @param {-1 | 1} by
 * @returns {Story}
 */
export function shift(story, ids, by) {
  const first = story.findIndex(({ id }) => ids.includes(id))
  const index = by < 0 ? first - 1 : behind(story, ids) + 1
  return index < 0 || index > story.length ? story : move(story, ids, index)
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

// What an edit makes stale ----------------------------------------------------------------------------------------------

/**
 * The chunks of `after` that are not what they were in `before`, or follow, within their shot, one that is not.
 *
 * A cut is a wall: behind it nothing sees what was before, except with echo. What a chunk is told lies at its place in
 * the video, as its noise does: so chunks that move are others.
 * @param {Story} before
 * @param {Story} after
 * @returns {[number, number][]} first and last chunk of every stretch, in order
 */
export function stale(before, after) {
  /** @type {[number, number][]} */
  const found = []
  let sees = false // the shot has a stale chunk
  let any = false // the video has one
  const was = walk(before)
  for (const { first, last, said } of segments(before, after)) {
    const old = was(first)
    if (said.transition === "cut") sees = false
    const same = old !== undefined && says(old) === says(said)
    if (same && !sees && !(said.echo && any)) continue
    sees = any = true
    const stretch = found.at(-1)
    if (stretch && stretch[1] === first - 1) stretch[1] = last
    else found.push([first, last])
  }
  return found
}

// Undo ------------------------------------------------------------------------------------------------------------------

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
  return { past: [...history.past, history.now].slice(-MOST_UNDO), now: story, future: [] }
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
function block(said, length, held) {
  return tidy({ ...said, id: ++newest, length, held })
}

/**
 * Index behind the last of some blocks.
 * @param {Story} story
 * @param {readonly number[]} ids
 */
function behind(story, ids) {
  return story.reduce((index, { id }, i) => (ids.includes(id) ? i + 1 : index), 0)
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
function tidy(each) {
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
function says(said) {
  return JSON.stringify([said.prompt, ...TAGS.map((tag) => said[tag] ?? null)])
}

/**
 * What chunks of a story say, in stretches within which neither story changes.
 * @param {Story} before
 * @param {Story} after
 * @returns {{ first: number, last: number, said: Said }[]}
 */
function segments(before, after) {
  const edges = new Set()
  for (const story of [before, after]) {
    for (const { first, last } of place(story)) edges.add(first).add(first + 1).add(last + 1)
  }
  const ends = count(after)
  const sorted = [...edges].filter((edge) => edge < ends).sort((a, b) => a - b)
  const said = walk(after)
  return sorted.map((first, i) => {
    return { first, last: (sorted[i + 1] ?? ends) - 1, said: /** @type {Said} */ (said(first)) }
  })
}

/**
 * A function that tells what the chunks of a story say, asked in order.
 * @param {Story} story
 * @returns {(chunk: number) => Said | undefined}
 */
function walk(story) {
  const placed = place(story)
  const end = count(story)
  let i = 0
  return (chunk) => {
    while (i < placed.length && chunk > /** @type {Placed} */ (placed[i]).end) i++
    const each = placed[i]
    if (!each || chunk >= end) return undefined
    if (chunk === each.first) return each
    const { prompt, tokens, reroll, ranges, echo } = each
    return chunk <= each.last ? { prompt, tokens, reroll, ranges, echo } : { prompt, tokens }
  }
}
