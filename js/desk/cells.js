// What is known of every chunk of every node, by content key: plans, what is in flight, stills and clips. No DOM.
//
// Stills and clips belong to a key, whoever made them: a clip is shown where a plan names its key, and nowhere else. Plans,
// flight and status belong to a node of a workflow, since two open workflows number their nodes alike.

import { cellOf } from "./cell_state.js"
import { NodeMap } from "./node_map.js"
import { forgive, recall, summaryOf } from "./node_state.js"
import { Pictures } from "./pictures.js"
import { Runs } from "./runs.js"

/** @typedef {import("../magi/api.js").Plan} Plan */
/** @typedef {import("../magi/api.js").Remembered} Remembered */
/** @typedef {import("./cell_state.js").Cell} Cell */
/** @typedef {import("./node_state.js").Summary} Summary */

/** All of it, and who wants to hear of changes. */
export class Cells {
  #nodes = new NodeMap()
  #pictures = new Pictures()
  /** @type {Set<(workflow: string, nodeId: string) => void>} */
  #listeners = new Set()
  /** Another number after every change. */
  version = 0

  #now

  /** @param {() => number} [now] a clock, in milliseconds */
  constructor(now = () => performance.now()) {
    this.#now = now
    /** What is told of runs comes in here. */
    this.runs = new Runs(this.#nodes, this.#pictures, (workflow, id) => this.#changed(workflow, id), now)
  }

  /** Says when something was asked of the server; `recalled` takes it with the answer. */
  get clock() {
    return this.runs.clock
  }

  /**
   * Hear whose cells have changed, from now on.
   * @param {(workflow: string, nodeId: string) => void} listener
   * @returns {() => void} stops it
   */
  subscribe(listener) {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  // What was asked ---------------------------------------------------------------------------------------------------

  /**
   * What the server remembers of a workflow. What was heard since it was asked stands.
   * @param {string} workflow
   * @param {Readonly<Record<string, Remembered>>} nodes by id
   * @param {number} asked `clock` when it was asked
   */
  recalled(workflow, nodes, asked) {
    for (const [id, remembered] of Object.entries(nodes)) {
      const node = this.#nodes.make(workflow, id)
      const newer = node.heard > asked
      recall(node, remembered, newer, this.#pictures, this.#now())
      this.#changed(workflow, id)
    }
  }

  /**
   * What the graph asks for, as it is now.
   * @param {string} workflow
   * @param {readonly Plan[]} plans
   */
  wanted(workflow, plans) {
    for (const plan of plans) {
      const before = this.#nodes.get(workflow, plan.node_id)
      if (before && forgive(before, plan)) this.#changed(workflow, plan.node_id)
      for (const [key, filename] of Object.entries(plan.clips ?? {})) this.#pictures.addClip(key, filename)
      for (const [key, t] of Object.entries(plan.stills ?? {})) this.#pictures.foundStill(key, t)
      if (plan.error) continue // a graph that cannot run yet makes nothing stale
      const node = this.#nodes.make(workflow, plan.node_id)
      Object.assign(node, { wanted: plan, edited: [] })
      if (plan.chunks.some(({ kind }) => kind !== "computed")) node.ran ??= plan // made by another: an edit makes it stale
      this.#changed(workflow, plan.node_id)
    }
  }

  /**
   * The artist is changing these places of the video: they are shown as stale until the server has said what is.
   * @param {string} workflow
   * @param {string} nodeId
   * @param {readonly (readonly [number, number])[]} places from and up to, of each stretch
   */
  edited(workflow, nodeId, places) {
    const node = this.#nodes.get(workflow, nodeId)
    if (!node || JSON.stringify(node.edited) === JSON.stringify(places)) return
    node.edited = places
    this.#changed(workflow, nodeId)
  }

  /**
   * The clip of `key` could not be fetched.
   * @param {string} key
   */
  gone(key) {
    if (this.#pictures.clips.delete(key)) this.redraw()
  }

  /** Something that belongs to no node has come or gone. */
  redraw() {
    for (const [workflow, id] of this.#nodes.all()) this.#changed(workflow, id)
  }

  // What is shown ----------------------------------------------------------------------------------------------------

  /**
   * Ids of the nodes of which something is known.
   * @param {string} workflow
   */
  nodesOf(workflow) {
    return this.#nodes.of(workflow).map(([id]) => id)
  }

  /**
   * Whether the time left of a run counts down.
   * @param {string} workflow
   */
  counts(workflow) {
    return this.#nodes.of(workflow).some(([, { status, pace }]) => status === "running" && pace.secondsLeft !== null)
  }

  /**
   * What a node would do, or did last.
   * @param {string} workflow
   * @param {string} nodeId
   * @returns {Plan | undefined}
   */
  planOf(workflow, nodeId) {
    const node = this.#nodes.get(workflow, nodeId)
    return node?.wanted ?? node?.ran
  }

  /**
   * The cells of a node, in the order of the video.
   * @param {string} workflow
   * @param {string} nodeId
   * @returns {Cell[]}
   */
  cellsOf(workflow, nodeId) {
    const node = this.#nodes.get(workflow, nodeId)
    const plan = node?.wanted ?? node?.ran
    if (!node || !plan) return []
    const ran = new Map(node.ran?.chunks.map((chunk) => [chunk.index, chunk]))
    const flight = new Map(node.flight.map((each) => [each.key, each]))
    return plan.chunks.map((chunk) => cellOf(this.#pictures, node, chunk, ran.get(chunk.index), flight))
  }

  /**
   * @param {string} workflow
   * @param {string} nodeId
   * @returns {Summary | undefined} undefined where nothing is known of the node
   */
  summaryOf(workflow, nodeId) {
    const node = this.#nodes.get(workflow, nodeId)
    return node && summaryOf(node)
  }

  // ------------------------------------------------------------------------------------------------------------------

  /**
   * @param {string} workflow
   * @param {string} id
   */
  #changed(workflow, id) {
    this.version++
    for (const listener of this.#listeners) listener(workflow, id)
  }
}
