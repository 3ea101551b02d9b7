// What is known of nodes, by workflow and id: two open workflows number their nodes alike. No DOM.
import { fresh } from "./node_state.js"

/** @typedef {import("./node_state.js").Node} Node */

export class NodeMap {
  /** @type {Map<string, Map<string, Node>>} */
  #workflows = new Map()

  /**
   * @param {string} workflow
   * @param {string} id
   */
  get(workflow, id) {
    return this.#workflows.get(workflow)?.get(id)
  }

  /**
   * The same; where nothing was known of it, from now on something is.
   * @param {string} workflow
   * @param {string} id
   */
  make(workflow, id) {
    let nodes = this.#workflows.get(workflow)
    if (!nodes) this.#workflows.set(workflow, (nodes = new Map()))
    let node = nodes.get(id)
    if (!node) nodes.set(id, (node = fresh()))
    return node
  }

  /**
   * @param {string} workflow
   * @returns {[string, Node][]} ids and nodes
   */
  of(workflow) {
    return [...(this.#workflows.get(workflow) ?? [])]
  }

  /** @returns {[string, string, Node][]} workflows, ids and nodes */
  all() {
    return [...this.#workflows].flatMap(([workflow, nodes]) => {
      return [...nodes].map(([id, node]) => /** @type {[string, string, Node]} */ ([workflow, id, node]))
    })
  }
}
