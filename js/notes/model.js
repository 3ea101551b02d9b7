// How much room a text under a node needs, on a node of a given width.

const LETTER = 7 // pixels, on average and with a little to spare
const LINE = 16
const BESIDE = 50 // margins left and right of the text
const AROUND = 28 // margins above and below
const MOST = 14 // lines; what is longer scrolls

/**
 * Pixels in height.
 * @param {string} text
 * @param {number} width of the node
 */
export function heightOf(text, width) {
  const letters = Math.max(1, Math.floor((width - BESIDE) / LETTER))
  const lines = text.split("\n").map((line) => Math.max(1, Math.ceil(line.length / letters)))
  const all = lines.reduce((sum, each) => sum + each, 0)
  return AROUND + LINE * Math.max(2, Math.min(all, MOST))
}
