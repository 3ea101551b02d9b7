// What a line of the storyboard looks like on the strip: its words, its marks, the edge to stretch it by.
import { icon, part } from "./parts.js"
import { words } from "./story_words.js"

/** @typedef {import("./story.js").Placed} Placed */
/** @typedef {import("./story_words.js").Word} Word */

const SHORT = /** @type {Record<string, string>} */ ({
  THREE_D_MODEL: "3D",
  TWO_D_ANIME: "2D",
  STATIC_FIRST_FRAMES: "still",
  DYNAMIC_FIRST_FRAMES: "moving",
  BORDERNESS: "borders",
})

/** What cells show. @type {WeakMap<HTMLElement, string>} */
const shown = new WeakMap()

/**
 * What is shown already stays as it is, under the hand of who clicks or drags while a run draws its chunks.
 * @param {HTMLElement} cell
 * @param {Placed} block
 */
export function drawBlock(cell, block) {
  const all = JSON.stringify({ ...block, source: "" })
  if (shown.get(cell) === all) return
  shown.set(cell, all)
  const { prompt, transition, length, held } = block
  let body = /** @type {HTMLElement | null} */ (cell.firstElementChild)
  if (!body) {
    body = part("div", "magi-block", {}, part("div", "magi-body"), part("div", "magi-held"), part("div", "magi-edge"))
    cell.append(body)
  }
  const [line, tail, edge] = /** @type {[HTMLElement, HTMLElement, HTMLElement]} */ (/** @type {unknown} */ ([...body.children]))
  cell.dataset.block = String(block.id)
  body.dataset.transition = transition ?? "continue"
  const share = (100 * length) / (length + held)
  line.style.width = edge.style.left = `${share}%`
  tail.style.width = `${100 - share}%`
  tail.title = held ? words("goes_on") : ""
  edge.title = words("stretch")
  const text = part("div", prompt ? "magi-words" : "magi-words magi-silent", { text: prompt || words("empty"), title: prompt })
  line.replaceChildren(part("div", "magi-said", {}, marks(block), text))
}

/**
 * @param {Placed} block
 * @returns {HTMLElement}
 */
function marks({ transition, reroll, ranges, tokens, echo }) {
  const row = part("div", "magi-marks")
  /** @param {Word} tag @param {string} text @param {Node[]} before */
  const mark = (tag, text, ...before) => {
    const title = text === words(tag) ? text : `${words(tag)}: ${text}`
    row.append(part("span", "magi-mark", { title, "data-tag": tag }, ...before, part("span", "", { text })))
  }
  if (transition && transition !== "continue") mark("transition", words(transition), icon(transition))
  if (reroll) mark("reroll", `↻${reroll}`)
  if (echo) mark("echo", words("echo"))
  if (tokens) mark("tokens", tokens.map((name) => SHORT[name] ?? name).join(" ") || words("no_tokens"))
  if (ranges) mark("ranges", ranges.join(","))
  row.append(part("span", "magi-mark magi-more", { text: "⋯", title: words("direct_menu"), "data-tag": "direct" }))
  return row
}

/**
 * A line in words, for who hears the screen.
 * @param {Placed} block
 */
export function sayBlock({ first, last, end, prompt, transition, reroll, ranges, tokens, echo }) {
  const said = [words(first === last ? "chunk" : "chunks", { first, last }), prompt || words("empty")]
  if (transition) said.push(words(transition))
  if (reroll) said.push(`${words("reroll")} ${reroll}`)
  if (echo) said.push(words("echo"))
  if (tokens) said.push(`${words("tokens")} ${tokens.map((name) => words(/** @type {Word} */ (name))).join(", ")}`)
  if (ranges) said.push(`${words("ranges")} ${ranges.join(", ")}`)
  if (end > last) said.push(`${words("goes_on")}: ${words(last + 1 === end ? "chunk" : "chunks", { first: last + 1, last: end })}`)
  return said.join(", ")
}
