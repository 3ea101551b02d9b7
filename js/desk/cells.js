// What is known of every chunk of every node, by content key: plans, what is in flight, stills and clips. No DOM.
//
// Stills and clips belong to a key, whoever made them: a clip is shown where a plan names its key, and nowhere else. Plans,
// flight and status belong to a node of a workflow, since two open workflows number their nodes alike.

/** @typedef {import("../magi/api.js").Plan} Plan */
/** @typedef {import("../magi/api.js").Flight} Flight */
/** @typedef {import("../magi/api.js").Remembered} Remembered */
/** @typedef {"kept" | "remembered" | "computed"} Kind */

/**
 * How far a chunk is. "planned": to be made by the next run. "queued": to be made by the run that goes on. "lost": it was
 * made, and must be made again to be seen.
 * @typedef {"planned" | "queued" | "denoising" | "done" | "remembered" | "kept" | "failed" | "lost"} State
 */

/**
 * A picture of a chunk.
 * @typedef {object} Still
 * @property {number} t how clean it is; 1: the chunk is finished
 * @property {string} jpeg base64; "": the server has it (`stillAddress` of api.js)
 */

/**
 * What one cell shows.
 * @typedef {object} Cell
 * @property {number} index the chunk's place in the video
 * @property {string} key of what is shown; "" where nothing is
 * @property {State} state
 * @property {boolean} stale what is shown is not what the graph asks for now
 * @property {boolean} exact false: it may not be stale after all, what comes before is not made yet
 * @property {number} stage how many it has behind it, while it is denoising
 * @property {number} stages
 * @property {Still | undefined} still
 * @property {string} clip name of a temporary file, or ""
 * @property {string} words its prompt, where it is known
 */

/**
 * How the run of a node stands. "": no run is known.
 * @typedef {"" | "running" | "done" | "interrupted" | "failed"} Status
 */

/**
 * What is said of a node as a whole.
 * @typedef {object} Summary
 * @property {Status} status
 * @property {string} sentence what went wrong, or ""
 * @property {number | null} secondsLeft of the run that goes on
 * @property {number} step forwards done of the run that goes on
 * @property {number} steps
 * @property {number} fps
 * @property {number} width
 * @property {number} height
 * @property {number} first index of the first cell
 * @property {number} cost chunk-forwards that the next run takes
 * @property {number | null} seconds that it takes; null: this model and size was not timed yet
 * @property {boolean} exact false: cost is "at most"
 * @property {number} toMake chunks that the next run makes
 */

/**
 * @typedef {object} Node
 * @property {string} prompt whose run it is
 * @property {string} run
 * @property {Plan | undefined} ran what the newest run announced
 * @property {Plan | undefined} wanted what the graph asks for, as it is now; undefined: not asked since the run
 * @property {readonly (readonly [number, number])[]} edited places changed since then, from and up to: shown as stale at once
 * @property {readonly Flight[]} flight
 * @property {Set<string>} finished keys that this run has finished
 * @property {boolean} waits queued, and not begun yet
 * @property {Status} status
 * @property {string} sentence
 * @property {string | undefined} failed keys of the plan, or its error, that was asked for when the run had failed
 * @property {{ secondsLeft: number | null, step: number, steps: number }} pace
 * @property {Record<string, string>} words by key
 * @property {number} heard when, by the clock of `Cells`
 */

const MOST = 2000 // stills, and clips, that are remembered: those not asked for the longest time make room
/** @type {readonly (readonly [number, number])[]} */
const NOWHERE = []

/** @returns {Node} */
function fresh() {
  const pace = { secondsLeft: null, step: 0, steps: 0 }
  const words = /** @type {Record<string, string>} */ ({})
  const run = { prompt: "", run: "", ran: undefined, wanted: undefined, edited: NOWHERE, flight: [], waits: false, failed: undefined }
  return { ...run, finished: new Set(), status: "", sentence: "", pace, words, heard: 0 }
}

/** All of it, and who wants to hear of changes. */
export class Cells {
  /** @type {Map<string, Map<string, Node>>} */
  #workflows = new Map()
  /** @type {Map<string, Still>} */
  #stills = new Map()
  /** @type {Map<string, string>} */
  #clips = new Map()
  /** @type {Set<(workflow: string, nodeId: string) => void>} */
  #listeners = new Set()
  #clock = 0
  /** Another number after every change. */
  version = 0

  /** Says when something was asked of the server; `recalled` takes it with the answer. */
  get clock() {
    return this.#clock
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

  // What is heard of a run -------------------------------------------------------------------------------------------

  /**
   * A workflow was queued: what its nodes have to make waits for its turn.
   * @param {string} workflow
   */
  queued(workflow) {
    for (const [id, node] of this.#workflows.get(workflow) ?? []) this.#wait(workflow, id, node, true)
  }

  /** Nothing is queued any more. */
  idle() {
    for (const [workflow, nodes] of this.#workflows) {
      for (const [id, node] of nodes) this.#wait(workflow, id, node, false)
    }
  }

  /**
   * A node tells what it is going to do.
   * @param {string} workflow
   * @param {import("../magi/api.js").RunPlan} plan
   */
  planned(workflow, plan) {
    const node = this.#running(workflow, plan)
    Object.assign(node, { ran: plan, wanted: plan, edited: NOWHERE })
    this.#changed(workflow, plan.node_id)
  }

  /**
   * @param {string} workflow
   * @param {import("../magi/api.js").Progress} progress
   */
  progressed(workflow, progress) {
    const node = this.#running(workflow, progress)
    const flying = new Set(progress.flight.map(({ key }) => key))
    for (const { key } of node.flight) if (!flying.has(key)) node.finished.add(key)
    node.flight = progress.flight
    node.pace = paceOf(progress)
    this.#changed(workflow, progress.node_id)
  }

  /**
   * @param {string} workflow
   * @param {import("../magi/api.js").StillMade} still
   */
  pictured(workflow, still) {
    const { key, t, jpeg } = still
    const before = this.#stills.get(key)
    if (before && before.t > t) return // a chunk that is made again looks as it did, until it is as far
    remember(this.#stills, key, { t, jpeg })
    const node = this.#running(workflow, still)
    if (t >= 1) node.finished.add(key)
    this.#changed(workflow, still.node_id)
  }

  /**
   * @param {string} workflow
   * @param {import("../magi/api.js").Clip} clip
   */
  filmed(workflow, clip) {
    remember(this.#clips, clip.key, clip.filename)
    this.#running(workflow, clip).finished.add(clip.key)
    this.#changed(workflow, clip.node_id)
  }

  /**
   * @param {string} workflow
   * @param {import("../magi/api.js").Ended} ended
   */
  ended(workflow, ended) {
    const node = this.#running(workflow, ended)
    const { status, sentence } = ended
    if (status === "done") {
      const flying = new Set(node.flight.map(({ key }) => key))
      for (const { key } of node.ran?.chunks ?? []) if (!flying.has(key)) node.finished.add(key)
    }
    if (node.wanted && node.ran && same(node.wanted, node.ran)) node.wanted = node.ran // asked before all was made
    Object.assign(node, { status, sentence, flight: [], pace: fresh().pace })
    this.#changed(workflow, ended.node_id)
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
      const node = this.#node(workflow, id)
      const newer = node.heard > asked
      for (const [key, filename] of Object.entries(remembered.clips)) remember(this.#clips, key, filename)
      for (const [key, t] of Object.entries(remembered.stills)) {
        if (!this.#stills.has(key)) remember(this.#stills, key, { t, jpeg: "" })
      }
      for (const [key, { prompt }] of Object.entries(remembered.words)) node.words[key] = prompt ?? ""
      if (!newer || !node.ran || node.run === remembered.plan?.run) this.#take(node, remembered, newer)
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
      this.#forgive(workflow, plan)
      if (plan.error) continue // a graph that cannot run yet makes nothing stale
      const node = this.#node(workflow, plan.node_id)
      Object.assign(node, { wanted: plan, edited: NOWHERE })
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
    const node = this.#workflows.get(workflow)?.get(nodeId)
    if (!node || JSON.stringify(node.edited) === JSON.stringify(places)) return
    node.edited = places
    this.#changed(workflow, nodeId)
  }

  /**
   * The clip of `key` could not be fetched.
   * @param {string} key
   */
  gone(key) {
    if (!this.#clips.delete(key)) return
    for (const [workflow, nodes] of this.#workflows) for (const id of nodes.keys()) this.#changed(workflow, id)
  }

  // What is shown ----------------------------------------------------------------------------------------------------

  /**
   * Ids of the nodes of which something is known.
   * @param {string} workflow
   */
  nodesOf(workflow) {
    return [...(this.#workflows.get(workflow)?.keys() ?? [])]
  }

  /**
   * What a node would do, or did last.
   * @param {string} workflow
   * @param {string} nodeId
   * @returns {Plan | undefined}
   */
  planOf(workflow, nodeId) {
    const node = this.#workflows.get(workflow)?.get(nodeId)
    return node?.wanted ?? node?.ran
  }

  /**
   * The cells of a node, in the order of the video.
   * @param {string} workflow
   * @param {string} nodeId
   * @returns {Cell[]}
   */
  cellsOf(workflow, nodeId) {
    const node = this.#workflows.get(workflow)?.get(nodeId)
    const plan = node?.wanted ?? node?.ran
    if (!node || !plan) return []
    const ran = new Map(node.ran?.chunks.map((chunk) => [chunk.index, chunk]))
    const flight = new Map(node.flight.map((each) => [each.key, each]))
    return plan.chunks.map((chunk) => this.#cell(node, chunk, ran.get(chunk.index), flight))
  }

  /**
   * @param {string} workflow
   * @param {string} nodeId
   * @returns {Summary | undefined} undefined where nothing is known of the node
   */
  summaryOf(workflow, nodeId) {
    const node = this.#workflows.get(workflow)?.get(nodeId)
    const plan = node?.wanted ?? node?.ran
    if (!node || !plan) return undefined
    const { status, sentence, pace } = node
    const { fps, width, height, first, cost, seconds } = plan
    const left = plan === node.ran ? plan.chunks.filter(({ key }) => !node.finished.has(key)) : plan.chunks
    const toMake = left.filter(({ kind }) => kind === "computed").length
    return { status, sentence, ...pace, fps, width, height, first, cost, seconds, exact: plan.exact !== false, toMake }
  }

  /**
   * @param {Node} node
   * @param {import("../magi/api.js").PlannedChunk} chunk what is wanted
   * @param {import("../magi/api.js").PlannedChunk | undefined} ran what the newest run has or had at this place
   * @param {ReadonlyMap<string, Flight>} flight
   * @returns {Cell}
   */
  #cell(node, chunk, ran, flight) {
    const { index } = chunk
    const known = chunk.key !== "" && (chunk.key === ran?.key || this.#isMade(chunk.key) || chunk.kind !== "computed")
    const shown = known || !ran || !this.#isSeen(node, ran, flight) ? chunk : ran
    const { key } = shown
    const flying = node.finished.has(key) ? undefined : flight.get(key) // the last step told may be older than the clip
    const edited = node.edited.some(([from, to]) => index >= from && index < to)
    const stale = edited || shown !== chunk
    return {
      index,
      key,
      state: flying ? "denoising" : this.#state(node, shown, shown === chunk, ran),
      stale,
      exact: !stale || edited || node.wanted?.exact !== false,
      stage: flying?.stage ?? 0,
      stages: flying?.stages ?? 0,
      still: this.#stills.get(key),
      clip: this.#clips.get(key) ?? "",
      words: node.words[key] ?? chunk.words ?? "",
    }
  }

  /**
   * @param {Node} node
   * @param {import("../magi/api.js").PlannedChunk} shown
   * @param {boolean} wanted whether it is what the graph asks for
   * @param {import("../magi/api.js").PlannedChunk | undefined} ran at this place
   * @returns {State}
   */
  #state(node, shown, wanted, ran) {
    const { key } = shown
    const running = node.status === "running"
    const gone = wanted && node.wanted !== node.ran && shown.kind === "computed" && !running // nothing holds it any more
    if (gone && this.#isMade(key)) return "lost"
    const kind = ran?.key === key ? ran.kind : shown.kind
    if (kind !== "computed") return kind
    if (node.finished.has(key) || this.#clips.has(key)) return "done"
    if (node.waits && wanted) return "queued"
    if (ran && ran.key !== key) return "planned"
    if (running) return ran ? "queued" : "planned"
    if (node.status === "failed") return "failed"
    return "planned"
  }

  /**
   * Whether there is anything of a chunk, so that its place can be stale.
   * @param {Node} node
   * @param {import("../magi/api.js").PlannedChunk} chunk
   * @param {ReadonlyMap<string, Flight>} flight
   */
  #isSeen(node, { key, kind }, flight) {
    return kind !== "computed" || node.finished.has(key) || flight.has(key) || this.#isMade(key)
  }

  /** @param {string} key */
  #isMade(key) {
    return this.#clips.has(key) || (this.#stills.get(key)?.t ?? 0) >= 1
  }

  // ------------------------------------------------------------------------------------------------------------------

  /**
   * @param {Node} node
   * @param {Remembered} remembered
   * @param {boolean} newer whether the node was heard since
   */
  #take(node, { plan, progress, status, sentence }, newer) {
    if (!plan) return
    node.ran ??= plan
    node.wanted ??= plan
    for (const { key } of plan.chunks) if (status === "done" || this.#isMade(key)) node.finished.add(key)
    if (newer) return
    Object.assign(node, { prompt: plan.prompt_id, run: plan.run, ran: plan, status, sentence })
    node.flight = progress?.flight ?? []
    if (progress) node.pace = paceOf(progress)
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
    this.#changed(workflow, id)
  }

  /**
   * A failure is told as long as the graph is the one that failed.
   * @param {string} workflow
   * @param {Plan} plan of the graph as it is now
   */
  #forgive(workflow, { node_id: id, error, chunks }) {
    const node = this.#workflows.get(workflow)?.get(id)
    if (node?.status !== "failed") return
    const now = error || chunks.map(({ key }) => key).join()
    node.failed ??= now
    if (node.failed === now) return
    Object.assign(node, { status: "", sentence: "" })
    this.#changed(workflow, id)
  }

  /**
   * The node of an event, whose run begins with it where its plan was not heard.
   * @param {string} workflow
   * @param {{ node_id: string, prompt_id: string, run: string }} event
   */
  #running(workflow, { node_id, prompt_id: prompt, run }) {
    const node = this.#node(workflow, node_id)
    if (node.run !== run) {
      const { wanted, edited, words } = node
      Object.assign(node, fresh(), { prompt, run, wanted, edited, words, status: "running" })
    }
    node.heard = ++this.#clock
    return node
  }

  /**
   * @param {string} workflow
   * @param {string} id
   */
  #node(workflow, id) {
    let nodes = this.#workflows.get(workflow)
    if (!nodes) this.#workflows.set(workflow, (nodes = new Map()))
    let node = nodes.get(id)
    if (!node) nodes.set(id, (node = fresh()))
    return node
  }

  /**
   * @param {string} workflow
   * @param {string} id
   */
  #changed(workflow, id) {
    this.version++
    for (const listener of this.#listeners) listener(workflow, id)
  }
}

/** @param {import("../magi/api.js").Step} step */
function paceOf({ seconds_left: secondsLeft, step, steps }) {
  return { secondsLeft, step, steps }
}

/**
 * Whether both ask for the same chunks.
 * @param {Plan} a
 * @param {Plan} b
 */
function same(a, b) {
  return a.chunks.length === b.chunks.length && a.chunks.every(({ key }, i) => key !== "" && key === b.chunks[i]?.key)
}

/**
 * @template T
 * @param {Map<string, T>} map
 * @param {string} key
 * @param {T} value
 */
function remember(map, key, value) {
  map.delete(key)
  map.set(key, value)
  if (map.size > MOST) map.delete(/** @type {string} */ (map.keys().next().value))
}
