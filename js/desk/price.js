// What the next run makes and what that costs, in a sentence. No DOM.
import { placeInWords, words } from "./story_words.js"
import { duration } from "./words.js"

/** @typedef {import("../magi/api.js").Plan} Plan */
/** @typedef {readonly (readonly [number, number])[]} Stretches first and last chunk of each */

const MOST = 4 // stretches that are named; of more the first and the last chunk are

/**
 * "chunks 6–9: 43 chunk-forwards, about 28 s; 0–5 kept". Chunks count from the plan's first one, as the storyboard's do.
 * @param {Plan} plan
 */
export function priceOf(plan) {
  const { chunks, cost, seconds, exact } = plan
  const [made, kept, known] = [madeBy(plan), placesOf(plan, "kept"), placesOf(plan, "remembered")]
  if (!made.length) return words("plan_nothing", { chunks: chunks.length })
  const rest = [
    kept.length ? words("plan_kept", { known: numbers(kept) }) : "",
    known.length ? words("plan_known", { known: numbers(known) }) : "",
  ]
  return words(exact === false ? "plan_at_most" : "plan_exact", {
    made: inWords(made),
    cost,
    seconds: seconds === null ? "" : words("plan_seconds", { time: duration(seconds) }),
    rest: rest.join(""),
  })
}

/**
 * The chunks that a plan makes.
 * @param {Plan} plan
 */
export function madeBy(plan) {
  return placesOf(plan, "computed")
}

/**
 * @param {Plan} plan
 * @param {"kept" | "remembered" | "computed"} kind
 */
function placesOf({ first, chunks }, kind) {
  return stretches(chunks.filter((chunk) => chunk.kind === kind).map(({ index }) => index - first))
}

/**
 * Chunks that are in one or the other, before `end`.
 * @param {Stretches} a
 * @param {Stretches} b
 * @param {number} end
 * @returns {Stretches}
 */
export function together(a, b, end) {
  const all = [...a, ...b].flatMap(([low, high]) => {
    return Array.from({ length: Math.max(0, Math.min(high + 1, end) - low) }, (_, i) => low + i)
  })
  return stretches([...new Set(all)].sort((one, other) => one - other))
}

/**
 * "chunk 3", "chunks 2–5" or "chunks 2–3, 7".
 * @param {Stretches} all
 */
export function inWords(all) {
  const [only] = all
  if (all.length === 1 && only) return placeInWords(only[0], only[1])
  return words("chunk_list", { list: numbers(all) })
}

/** @param {Stretches} all */
function numbers(all) {
  /** @type {Stretches} */
  const named = all.length <= MOST ? all : [[all[0]?.[0] ?? 0, all.at(-1)?.[1] ?? 0]]
  return named.map(([low, high]) => (low === high ? `${low}` : `${low}–${high}`)).join(", ")
}

/**
 * Numbers in order as stretches without a gap.
 * @param {readonly number[]} all
 * @returns {[number, number][]}
 */
function stretches(all) {
  /** @type {[number, number][]} */
  const found = []
  for (const each of all) {
    const last = found.at(-1)
    if (last && last[1] === each - 1) last[1] = each
    else found.push([each, each])
  }
  return found
}
