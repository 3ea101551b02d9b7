// Feeds `cells`: with what the server tells of runs, what it remembers of the workflow that is shown, and what it would
// make of the graph as it is now.
import { app } from "../../../scripts/app.js"
import * as magi from "../magi/api.js"
import { workflowsOfPrompts } from "../magi/prompts.js"
import { answered } from "./asked.js"
import { Cells } from "./cells.js"
import { Countdown } from "./countdown.js"
import { Sounds } from "./sounds.js"

const PAUSE = 150 // milliseconds without a change until the server is asked what it makes

/** What every part of the desk shows. */
export const cells = new Cells()
const sounds = new Sounds(magi.sound, () => cells.redraw())

const ASKER = `page-${Math.random()}`
/** @type {Set<() => void>} */
const watches = new Set()
const countdown = new Countdown(() => {
  for (const tell of watches) tell()
  return cells.counts(shownWorkflow())
})

/** @type {ReturnType<typeof setTimeout> | undefined} */
let pause
let asked = "" // the graph that the server was asked about last
let question = 0
let turns = 0

/** Id of the workflow that is shown. */
export function shownWorkflow() {
  return app.rootGraph.id
}

/** @param {() => void} tell a second has passed, of a run whose time left counts down */
export function onSecond(tell) {
  watches.add(tell)
}

/**
 * The sound that is heard with what a node makes, and the second on the ruler at which it begins; once it is here.
 * @param {string} workflow
 * @param {string} nodeId
 */
export function heardOf(workflow, nodeId) {
  const heard = cells.planOf(workflow, nodeId)?.sound
  const sound = heard && sounds.get(heard.key)
  return sound ? { sound, start: heard.start, address: magi.temporaryFile(sound.filename) } : undefined
}

/** Hear the server, from now on. */
export function listen() {
  const whose = workflowsOfPrompts(shownWorkflow, magi.workflowOf)
  /**
   * @template {magi.Place} E
   * @param {(hear: (event: E) => void) => void} on
   * @param {(workflow: string, event: E) => void} take
   */
  const feed = (on, take) => on(async (event) => take(await whose(event.prompt_id), event))
  cells.subscribe((workflow) => {
    if (workflow === shownWorkflow() && cells.counts(workflow)) countdown.begin()
  })
  feed(magi.onPlan, (workflow, plan) => {
    sounds.again()
    cells.runs.planned(workflow, plan)
    void recall(workflow) // the words of its chunks; and the graph may have been changed since it was queued
  })
  feed(magi.onProgress, (workflow, progress) => cells.runs.progressed(workflow, progress))
  feed(magi.onStill, (workflow, still) => cells.runs.pictured(workflow, still))
  feed(magi.onClip, (workflow, clip) => cells.runs.filmed(workflow, clip))
  feed(magi.onEnded, (workflow, ended) => {
    cells.runs.ended(workflow, ended)
    askAgain() // what was made is remembered now, and what follows has a price
  })
  magi.onQueued(() => cells.runs.queued(shownWorkflow()))
  magi.onIdle(() => cells.runs.idle())
  magi.onGraphChanged(graphChanged)
  // Nodes 2.0 keeps some values to itself until something else is done: its + and - beside a number, for one.
  for (const deed of ["pointerup", "keyup", "change"]) addEventListener(deed, graphChanged, { capture: true })
  magi.onReconnected(() => void recall())
}

/**
 * Ask what the server remembers of a workflow: it was opened, or the server is another one.
 * @param {string} [workflow] its id
 */
export async function recall(workflow = shownWorkflow()) {
  const now = cells.clock
  sounds.again()
  cells.recalled(workflow, await magi.desk(workflow), now)
  askAgain()
}

/** The graph may have changed: ask what the server would make of it, once it is at rest. */
export function graphChanged() {
  clearTimeout(pause)
  pause = setTimeout(ask, PAUSE)
}

function askAgain() {
  asked = ""
  graphChanged()
}

async function ask() {
  const turn = ++turns
  const workflow = shownWorkflow()
  const { output } = await app.graphToPrompt()
  const graph = JSON.stringify(output)
  if (turn !== turns || graph === asked || !graph.includes('"class_type":"Magi')) return
  asked = graph
  const mine = ++question // only now: an answer that is still to come stands where the graph is the same
  try {
    const plans = await magi.plan(output, workflow, ASKER)
    if (mine !== question) return
    answered(output, plans)
    cells.wanted(workflow, plans)
  } catch (error) {
    if (error instanceof magi.Superseded) return
    answered(output, []) // a graph that is being changed is often not whole
    console.debug("magi: no plan:", error)
  }
}
