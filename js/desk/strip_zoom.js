// How much of a strip is seen, and where.
import { TAIL } from "./strip.js"

/** @typedef {import("./strip.js").Strip} Strip */
/**
 * Where one has got to.
 * @typedef {{ chunkWidth: number, scrollLeft: number, cursor: number }} View
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
  strip.draw()
  strip.scroller.scrollLeft = strip.left(around) - seen
  strip.see(true)
}

/**
 * Let everything be seen at once, where that is possible.
 * @param {Strip} strip
 */
export function fit(strip) {
  setChunkWidth(strip, (strip.width - TAIL) / Math.max(1, strip.end - strip.first), strip.first)
}

/**
 * @param {Strip} strip
 * @returns {View}
 */
export function viewOf({ chunkWidth, scrolled: scrollLeft, cursor }) {
  return { chunkWidth, scrollLeft, cursor }
}

/**
 * @param {Strip} strip
 * @param {View} view
 */
export function setView(strip, { chunkWidth, scrollLeft, cursor }) {
  strip.chunkWidth = chunkWidth
  strip.selection.cursor = cursor
  strip.scrollsTo = scrollLeft
  strip.draw()
}
