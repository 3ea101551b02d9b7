// The time ruler of a strip: chunks and seconds, drawn only where they are seen.
import { part } from "./parts.js"
import { words } from "./story_words.js"

const FRAMES = 24 // of a chunk
const LABEL = 54 // least distance of two labels, in pixels
const STEPS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3000, 6000, 12000]

export class Ruler {
  element = part("div", "magi-ruler", { "aria-hidden": "true" })
  /** @type {Map<number, HTMLElement>} */
  #ticks = new Map()

  /**
   * @param {import("./strip.js").Strip} strip
   * @param {number} from chunks in sight
   * @param {number} to
   * @param {boolean} all ticks that are there already are drawn again
   */
  draw(strip, from, to, all) {
    const { chunkWidth, end, fps } = strip
    const step = STEPS.find((chunks) => chunks * chunkWidth >= LABEL) ?? 12000
    const seen = new Set()
    for (let chunk = Math.ceil(Math.max(strip.first, from) / step) * step; chunk <= Math.min(to, end); chunk += step) {
      seen.add(chunk)
      const before = this.#ticks.get(chunk)
      if (before && !all) continue
      const tick = before ?? part("div", "magi-tick")
      tick.style.transform = `translateX(${strip.left(chunk)}px)`
      const label = chunk < end ? String(chunk) : ""
      tick.replaceChildren(label, part("span", "magi-time", { text: clock((chunk * FRAMES) / fps) }))
      if (!before) this.element.append(tick)
      this.#ticks.set(chunk, tick)
    }
    for (const [chunk, tick] of this.#ticks) {
      if (seen.has(chunk)) continue
      tick.remove()
      this.#ticks.delete(chunk)
    }
  }
}

/**
 * Time as "4s", "4.5s" or "1:05".
 * @param {number} seconds
 */
export function clock(seconds) {
  const tenths = Math.round(seconds * 10) / 10
  if (tenths < 60) return words("seconds", { n: tenths })
  const rest = Math.round((tenths % 60) * 10) / 10
  return `${Math.floor(tenths / 60)}:${rest < 10 ? "0" : ""}${rest}`
}
