// How the run of a node goes, or what the next one costs, in a line. No DOM.
import { leftNow } from "./countdown.js"
import { duration, say } from "./words.js"

/**
 * @param {import("./node_state.js").Summary} summary
 * @param {number} [now] by the page's clock, in milliseconds
 */
export function lineOf(summary, now = performance.now()) {
  const { status, sentence, toMake, cost, seconds, exact } = summary
  if (status === "running") {
    const left = leftNow(summary, now)
    if (left !== null) return say("time left", { time: duration(left) })
    return seconds === null ? say("estimating") : [say("estimating"), say("about", { time: duration(seconds) })].join(", ")
  }
  if (status === "failed") return sentence || say("failed")
  if (!toMake) return say("all there")
  const price = say(exact ? "cost" : "cost at most", { count: toMake, cost })
  const words = seconds === null ? [price] : [price, say("about", { time: duration(seconds) })]
  return [...(status === "interrupted" ? [say("interrupted")] : []), words.join(", ")].join(" · ")
}
