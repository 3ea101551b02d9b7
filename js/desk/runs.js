// What is heard of runs: plans, steps, stills, clips, ends. No DOM.
import { end, fresh, step } from "./node_state.js"

/** @typedef {import("./node_state.js").Node} Node */

export class Runs {
  clock = 0 // another number after every event
  #nodes
  #pictures
  #tell
  #now

  /**
   * @param {import("./node_map.js").NodeMap} nodes that runs change
   * @param {import("./pictures.js").Pictures} pictures where stills and clips go
   * @param {(workflow: string, nodeId: string) => void} tell whose cells have changed
   * @param {() => number} now a clock, in milliseconds
   */
  constructor(nodes, pictures, tell, now) {
    this.#nodes = nodes
    this.#pictures = pictures
    this.#tell = tell
    this.#now = now
  }

  /**
   * A workflow was queued: what its nodes have to make waits for its turn.
   * @param {string} workflow
   */
  queued(workflow) {
    for (const [id, node] of this.#nodes.of(workflow)) this.#wait(workflow, id, node, true)
  }

  /** Nothing is queued any more. */
  idle() {
    for (const [workflow, id, node] of this.#nodes.all()) this.#wait(workflow, id, node, false)
  }

  /**
   * A node tells what it is going to do.
   * @param {string} workflow
   * @param {import("../magi/api.js").RunPlan} plan
   */
  planned(workflow, plan) {
    const node = this.#running(workflow, plan)
    Object.assign(node, { ran: plan, wanted: plan, edited: [] })
    this.#tell(workflow, plan.node_id)
  }

  /**
   * @param {string} workflow
   * @param {import("../magi/api.js").Progress} progress
   */
  progressed(workflow, progress) {
    const node = this.#running(workflow, progress)
    step(node, progress, this.#now())
    this.#tell(workflow, progress.node_id)
  }

  /**
   * @param {string} workflow
   * @param {import("../magi/api.js").StillMade} still
   */
  pictured(workflow, still) {
    const { key, t, jpeg } = still
    if ((this.#pictures.stills.get(key)?.t ?? 0) > t) return
    this.#pictures.addStill(key, { t, jpeg })
    const node = this.#running(workflow, still)
    if (t >= 1) node.finished.add(key)
    this.#tell(workflow, still.node_id)
  }

  /**
   * @param {string} workflow
   * @param {import("../magi/api.js").Clip} clip
   */
  filmed(workflow, clip) {
    this.#pictures.addClip(clip.key, clip.filename)
    this.#running(workflow, clip).finished.add(clip.key)
    this.#tell(workflow, clip.node_id)
  }

  /**
   * @param {string} workflow
   * @param {import("../magi/api.js").Ended} ended
   */
  ended(workflow, ended) {
    const node = this.#running(workflow, ended)
    end(node, ended)
    this.#tell(workflow, ended.node_id)
  }

  /**
   * @param {string} workflow
   * @param {string} id
   * @param {Node} node
   * @param {boolean} waits
   */
  #wait(workflow, id, node, waits) {
    if (node.waits === waits) return
    node.waits = waits
    this.#tell(workflow, id)
  }

  /**
   * The node of an event, whose run begins with it where its plan was not heard.
   * @param {string} workflow
   * @param {{ node_id: string, prompt_id: string, run: string }} event
   */
  #running(workflow, { node_id, prompt_id: prompt, run }) {
    const node = this.#nodes.make(workflow, node_id)
    if (node.run !== run) {
      const { wanted, edited, words } = node
      Object.assign(node, fresh(), { prompt, run, wanted, edited, words, status: "running" })
    }
    node.heard = ++this.clock
    return node
  }
}
