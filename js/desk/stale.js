// What an edit of a storyboard makes stale. No DOM.
import { count, place, says } from "./story.js"

/** @typedef {import("./story.js").Placed} Placed */
/** @typedef {import("./story.js").Said} Said */
/** @typedef {import("./story.js").Story} Story */

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
