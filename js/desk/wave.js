// A sound as a shape: the loudest of every moment, above and below a line. No DOM.

const MOST = 400 // columns of a shape

/**
 * The outline of a part of a sound, as the path of an SVG: x from 0 to 1000 over the part, y from -1 to 1.
 * @param {import("../magi/api.js").Sound} sound
 * @param {number} from seconds of the sound, may be before its beginning
 * @param {number} to
 * @returns {string} "" where there is nothing to hear
 */
export function outline({ peaks, rate }, from, to) {
  const [first, last] = [Math.max(0, Math.floor(from * rate)), Math.min(peaks.length, Math.ceil(to * rate))]
  if (last <= first) return ""
  const each = Math.max(1, Math.ceil((last - first) / MOST)) // peaks of a column
  /** @type {[string, number][]} */
  const columns = []
  for (let i = first; i < last; i += each) {
    const loudest = Math.max(...peaks.slice(i, Math.min(i + each, last)))
    const x = (1000 * ((i + each / 2) / rate - from)) / (to - from)
    columns.push([x.toFixed(1), Math.max(loudest / 255, 0.03)]) // silence is a line
  }
  const above = columns.map(([x, y]) => `${x},${(-y).toFixed(2)}`)
  const below = [...columns].reverse().map(([x, y]) => `${x},${y.toFixed(2)}`)
  return `M${[...above, ...below].join("L")}Z`
}
