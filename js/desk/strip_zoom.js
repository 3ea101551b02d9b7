// How much of a strip is seen, and where.

/** @typedef {import("./strip.js").Strip} Strip */
/**
 * Where one has got to.
 * @typedef {{ chunkWidth: number, zoomed: boolean, scrollLeft: number, cursor: number }} View
 */

const NARROWEST = 6 // pixels of a chunk
const WIDEST = 240

/**
 * @param {Strip} strip
 * @param {number} pixels of a chunk
 * @param {number} [around] chunk that stays where it is
 */
export function setChunkWidth(strip, pixels, around = strip.cursor) {
  const seen = strip.left(around) - strip.scroller.scrollLeft
  strip.chunkWidth = Math.max(NARROWEST, Math.min(WIDEST, pixels))
  strip.zoomed = true
  strip.draw()
  strip.scroller.scrollLeft = strip.left(around) - seen
  strip.see(true)
}

/**
 * Let everything be seen at once, where that is possible.
 * @param {Strip} strip
 */
export function fit(strip) {
  setChunkWidth(strip, (strip.width - strip.tail) / Math.max(1, strip.end - strip.first), strip.first)
}

/**
 * As long as nobody has zoomed: chunks are as wide as usual, or a little narrower where all are seen at once then.
 * @param {Strip} strip
 * @returns {boolean} whether they are others than before
 */
export function fitUnasked(strip) {
  if (strip.zoomed) return false
  const { usual, least, tail, width, end, first, chunkWidth: before } = strip
  const room = Math.floor((width - tail) / Math.max(1, end - first))
  strip.chunkWidth = room >= least ? Math.min(usual, room) : usual
  return strip.chunkWidth !== before
}

/**
 * @param {Strip} strip
 * @returns {View}
 */
export function viewOf({ chunkWidth, zoomed, scrolled: scrollLeft, cursor }) {
  return { chunkWidth, zoomed, scrollLeft, cursor }
}

/**
 * @param {Strip} strip
 * @param {View} view
 */
export function setView(strip, { chunkWidth, zoomed, scrollLeft, cursor }) {
  Object.assign(strip, { chunkWidth, zoomed })
  strip.selection.cursor = cursor
  strip.scrollsTo = scrollLeft
  strip.draw()
}
