// The graph that the server was asked about last: which node samples a storyboard, and why it has no plan. No DOM.

/** @typedef {import("../magi/api.js").Plan} Plan */
/** @typedef {{ class_type: string, inputs: Record<string, unknown> }} GraphNode a node as it is queued */

const SAMPLING = /^Magi(ChunkSampler|Extend|SecondPass|Retouch)$/
const DEEPEST = 20 // nodes between a storyboard and what samples it

/** @type {Readonly<Record<string, GraphNode>>} */
let asked = {}
/** @type {readonly Plan[]} */
let plans = []
/** @type {Set<() => void>} */
const listeners = new Set()

/**
 * The server has answered.
 * @param {Record<string, GraphNode>} graph
 * @param {readonly Plan[]} answer
 */
export function answered(graph, answer) {
  asked = graph
  plans = answer
  for (const listener of listeners) listener()
}

/** @param {() => void} listener the server has answered */
export function onAnswered(listener) {
  listeners.add(listener)
}

/**
 * What a node's input was; undefined where it was not asked about.
 * @param {string} id
 * @param {string} input
 */
export function askedOf(id, input) {
  return asked[id]?.inputs[input]
}

/**
 * Why a node has no plan, or "".
 * @param {string} id
 */
export function whyNot(id) {
  return plans.find(({ node_id }) => node_id === id)?.error ?? ""
}

/**
 * The node that samples what a storyboard says: of several the first; "" where there is none.
 * @param {string} id of the storyboard
 */
export function samplerOf(id) {
  const found = Object.entries(asked).find(([, { class_type, inputs }]) => {
    return SAMPLING.test(class_type) && comesFrom(inputs.conditioning, id)
  })
  return found?.[0] ?? ""
}

/**
 * Whether a link begins at a node, with none that samples in between.
 * @param {unknown} link
 * @param {string} id
 * @param {number} [depth]
 * @returns {boolean}
 */
function comesFrom(link, id, depth = 0) {
  if (!Array.isArray(link) || depth > DEEPEST) return false
  if (String(link[0]) === id) return true
  const node = asked[String(link[0])]
  if (!node || SAMPLING.test(node.class_type)) return false
  return Object.values(node.inputs).some((each) => comesFrom(each, id, depth + 1))
}
