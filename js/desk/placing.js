// Where a small window goes, so that it covers nothing that it is about. No DOM.

/** @typedef {{ left: number, top: number, right: number, bottom: number }} Box in pixels of the window */

const GAP = 4 // pixels

/**
 * Below what is not to be covered, or above it, or beside it; where nowhere is room, as far from it as the page allows.
 * @param {{ width: number, height: number }} size
 * @param {Box} avoid
 * @param {{ width: number, height: number }} page
 * @returns {[number, number]} left and top
 */
export function placeBeside({ width, height }, avoid, page) {
  const left = within(avoid.left, width, page.width)
  const top = within(avoid.top, height, page.height)
  if (avoid.bottom + GAP + height <= page.height) return [left, avoid.bottom + GAP]
  if (avoid.top - GAP - height >= 0) return [left, avoid.top - GAP - height]
  if (avoid.right + GAP + width <= page.width) return [avoid.right + GAP, top]
  if (avoid.left - GAP - width >= 0) return [avoid.left - GAP - width, top]
  const room = { right: page.width - avoid.right, left: avoid.left }
  return [room.right >= room.left ? page.width - width - GAP : GAP, top]
}

/**
 * @param {number} place
 * @param {number} size
 * @param {number} room
 */
function within(place, size, room) {
  return Math.max(GAP, Math.min(place, room - size - GAP))
}
