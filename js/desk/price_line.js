// The line below a storyboard: what was tried or changed makes anew, or what the next run costs. No DOM.
import { inWords, priceOf } from "./price.js"
import { words } from "./story_words.js"

/**
 * @param {import("./editing.js").Editing} editing
 * @param {string} said what was done last: it is said where nothing is more urgent
 */
export function sentenceOf(editing, said) {
  const { plan, planned, host, anew } = editing
  if (!plan || !planned) return said || (host.going() ? "" : host.note())
  if (!anew) return said || priceBeside(plan, host)
  const { stretches, moved } = anew
  if (!stretches.length) return words("stale_none")
  return words(moved ? "stale_move" : "stale_edit", { chunks: inWords(stretches) })
}

/**
 * Chunks move where a story is taken up: what is said of that before it is done, or "".
 * @param {import("./editing.js").Editing} editing
 * @param {import("./story.js").Story} story
 */
export function warningOf(editing, story) {
  const stale = editing.staleIn(story)
  return stale.length ? words("stale_move", { chunks: inWords(stale) }) : ""
}

/**
 * What the next run costs; "" where it is the one that goes on.
 * @param {import("../magi/api.js").Plan} plan
 * @param {import("./editing.js").Host} host
 */
function priceBeside(plan, host) {
  return host.going() && !host.cells().some(({ stale }) => stale) ? "" : priceOf(plan)
}
