// What one cell shows, out of what is known of its node: state, stale or not, still and clip. No DOM.

/** @typedef {import("./node_state.js").Node} Node */
/** @typedef {import("./pictures.js").Pictures} Pictures */
/** @typedef {import("./pictures.js").Still} Still */
/** @typedef {import("../magi/api.js").Flight} Flight */

/**
 * How far a chunk is. "planned": to be made by the next run. "queued": to be made by the run that goes on. "lost": it was
 * made, and must be made again to be seen.
 * @typedef {"planned" | "queued" | "denoising" | "done" | "remembered" | "kept" | "failed" | "lost"} State
 */

/**
 * What one cell shows.
 * @typedef {object} Cell
 * @property {number} index the chunk's place in the video
 * @property {string} key of what is shown; "" where nothing is
 * @property {State} state
 * @property {boolean} stale what is shown is not what the graph asks for now
 * @property {boolean} waits it is stale, and what takes its place is queued
 * @property {boolean} exact false: it may not be stale after all, what comes before is not made yet
 * @property {number} stage how many it has behind it, while it is denoising
 * @property {number} stages
 * @property {Still | undefined} still
 * @property {string} clip name of a temporary file, or ""
 * @property {string} words its prompt, where it is known
 */

/**
 * What the cell of a chunk shows.
 * @param {Pictures} pictures
 * @param {Node} node
 * @param {import("../magi/api.js").PlannedChunk} chunk what is wanted
 * @param {import("../magi/api.js").PlannedChunk | undefined} ran what the newest run has or had at this place
 * @param {ReadonlyMap<string, Flight>} flight
 * @returns {Cell}
 */
export function cellOf(pictures, node, chunk, ran, flight) {
  const { index } = chunk
  const known = chunk.key !== "" && (chunk.key === ran?.key || pictures.isMade(chunk.key) || chunk.kind !== "computed")
  const shown = known || !ran || !isSeen(pictures, node, ran, flight) ? chunk : ran
  const { key } = shown
  const flying = node.finished.has(key) ? undefined : flight.get(key) // the last step told may be older than the clip
  const edited = node.edited.some(([from, to]) => index >= from && index < to)
  const stale = edited || shown !== chunk
  return {
    index,
    key,
    state: flying ? "denoising" : stateOf(pictures, node, shown, shown === chunk, ran),
    stale,
    waits: stale && node.waits && chunk.kind === "computed",
    exact: !stale || edited || node.wanted?.exact !== false,
    stage: flying?.stage ?? 0,
    stages: flying?.stages ?? 0,
    still: pictures.stills.get(key),
    clip: pictures.clips.get(key) ?? "",
    words: node.words[key] ?? chunk.words ?? "",
  }
}

/**
 * @param {Pictures} pictures
 * @param {Node} node
 * @param {import("../magi/api.js").PlannedChunk} shown
 * @param {boolean} wanted whether it is what the graph asks for
 * @param {import("../magi/api.js").PlannedChunk | undefined} ran at this place
 * @returns {State}
 */
function stateOf(pictures, node, shown, wanted, ran) {
  const { key } = shown
  const running = node.status === "running"
  const gone = wanted && node.wanted !== node.ran && shown.kind === "computed" && !running // nothing holds it any more
  if (gone && pictures.isMade(key)) return "lost"
  const kind = ran?.key === key ? ran.kind : shown.kind
  if (kind !== "computed") return kind
  if (node.finished.has(key) || pictures.clips.has(key)) return "done"
  if (node.waits && wanted) return "queued"
  if (ran && ran.key !== key) return "planned"
  if (running) return ran ? "queued" : "planned"
  if (node.status === "failed") return "failed"
  return "planned"
}

/**
 * Whether there is anything of a chunk, so that its place can be stale.
 * @param {Pictures} pictures
 * @param {Node} node
 * @param {import("../magi/api.js").PlannedChunk} chunk
 * @param {ReadonlyMap<string, Flight>} flight
 */
function isSeen(pictures, node, { key, kind }, flight) {
  return kind !== "computed" || node.finished.has(key) || flight.has(key) || pictures.isMade(key)
}
