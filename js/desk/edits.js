// What can be done to the lines of a storyboard: every function returns a new story. No DOM.
import { block, blockAt, count, fromLines, MOST_CHUNKS, tidy } from "./story.js"

/** @typedef {import("../magi/api.js").Line} Line */
/** @typedef {import("./story.js").Said} Said */
/** @typedef {import("./story.js").Story} Story */

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
 * Index behind the last of some blocks.
 * @param {Story} story
 * @param {readonly number[]} ids
 */
function behind(story, ids) {
  return story.reduce((index, { id }, i) => (ids.includes(id) ? i + 1 : index), 0)
}
