// What desks knew whose nodes ComfyUI has taken away: its undo and a change of workflows make all nodes anew. No DOM.

const MOST = 50

/** @typedef {import("./storyboard.js").Keepsake} Keepsake */

/** @type {Map<string, Keepsake>} */
const kept = new Map()

/**
 * @param {string} workflow
 * @param {string} path of the node
 * @param {Keepsake} keepsake
 */
export function keep(workflow, path, keepsake) {
  const key = `${workflow} ${path}`
  kept.delete(key)
  kept.set(key, keepsake)
  if (kept.size > MOST) kept.delete(/** @type {string} */ (kept.keys().next().value))
}

/**
 * What was kept of a node, once.
 * @param {string} workflow
 * @param {string} path
 */
export function takeKept(workflow, path) {
  const key = `${workflow} ${path}`
  const keepsake = kept.get(key)
  kept.delete(key)
  return keepsake
}
