// What the server tells and answers. The only file that talks to ComfyUI's `api`.
import { api } from "../../../scripts/api.js"

// Events -------------------------------------------------------------------------------------------------------------

/**
 * A finished chunk as a short video; `ClipMade` of nodes/ui/events.py.
 * @typedef {object} Clip
 * @property {string} prompt_id
 * @property {string} node_id inside subgraphs a path, "1:2:3"
 * @property {string} key digest of everything that the chunk depends on
 * @property {number} index the chunk's place in the video
 * @property {string} run a node can run more than once in a prompt
 * @property {string} filename in ComfyUI's folder of temporary files
 */

/** @param {(clip: Clip) => void} listener */
export function onClip(listener) {
  api.addEventListener("magi.clip", ({ detail }) => listener(detail))
}

/**
 * A node at work, or not (any more). Told again and again while a prompt runs.
 * @typedef {object} NodeRun
 * @property {string} prompt_id
 * @property {string} node_id
 * @property {boolean} running
 */

/** @param {(run: NodeRun) => void} listener */
export function onNodeRun(listener) {
  api.addEventListener("progress_state", ({ detail: { prompt_id, nodes } }) => {
    for (const [node_id, { state }] of Object.entries(nodes)) {
      listener({ prompt_id, node_id, running: state === "running" })
    }
  })
  for (const ending of /** @type {const} */ (["execution_error", "execution_interrupted"])) {
    api.addEventListener(ending, ({ detail: { prompt_id, node_id } }) => {
      listener({ prompt_id, node_id, running: false })
    })
  }
}

/**
 * A node that failed.
 * @typedef {object} Failure
 * @property {string} prompt_id
 * @property {string} node_id
 * @property {string} node_type
 * @property {string} exception_type Python's class, with its module
 * @property {string} exception_message
 */

/** @param {(failure: Failure) => void} listener */
export function onFailure(listener) {
  api.addEventListener("execution_error", ({ detail }) => listener(detail))
}

/**
 * A line under a node.
 * @typedef {object} Note
 * @property {string} nodeId
 * @property {string} text
 */

/** @param {(note: Note) => void} listener */
export function onNote(listener) {
  api.addEventListener("progress_text", ({ detail }) => listener(detail))
}

/**
 * What a node says of one of its inputs when the graph is queued.
 * @typedef {object} Refusal
 * @property {string} node_id
 * @property {string} class_type
 * @property {string} type "custom_validation_failed" where the node itself said it
 * @property {string} details
 */

/**
 * ComfyUI tells nobody but who queued: so this listens to what it answers.
 * @param {(refusals: Refusal[]) => void} listener
 */
export function onRefused(listener) {
  const queuePrompt = api.queuePrompt
  api.queuePrompt = function (...prompt) {
    const answer = queuePrompt.apply(this, prompt)
    answer.catch((error) => listener(refusalsOf(error))) // ComfyUI gets the error too, as if this were not here
    return answer
  }
}

/**
 * @param {any} error
 * @returns {Refusal[]}
 */
function refusalsOf(error) {
  /** @type {[string, ComfyUI.NodeErrors][]} */
  const nodes = Object.entries(error?.response?.node_errors ?? {})
  return nodes.flatMap(([node_id, { class_type, errors }]) => errors.map((each) => ({ node_id, class_type, ...each })))
}

// Routes -------------------------------------------------------------------------------------------------------------

const NO_ID = "00000000-0000-0000-0000-000000000000" // of a workflow just cleared, until it is loaded again

/**
 * The id of the workflow that a prompt was queued from; undefined where the server does not say.
 * @param {string} promptId
 * @returns {Promise<string | undefined>}
 */
export async function workflowOf(promptId) {
  try {
    const answer = await api.fetchApi(`/jobs/${encodeURIComponent(promptId)}`)
    const { workflow_id: id } = await answer.json()
    return id === NO_ID ? undefined : id
  } catch {
    return undefined // no connection, or no JSON
  }
}

/**
 * The address of one of ComfyUI's temporary files.
 * @param {string} filename
 */
export function temporaryFile(filename) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, type: "temp", subfolder: "" })}`)
}
