// The small windows of the desk: how a line is directed, and the menu of what can be done.
import { TRANSITIONS } from "./story.js"
import { part, pop } from "./parts.js"
import { words } from "./story_words.js"

/** @typedef {import("./story.js").Said} Said */
/** @typedef {import("./story_words.js").Word} Word */

export const TOKENS = /** @type {const} */ ([
  "HQ",
  "THREE_D_MODEL",
  "TWO_D_ANIME",
  "STATIC_FIRST_FRAMES",
  "DYNAMIC_FIRST_FRAMES",
  "BORDERNESS",
])
const MOST_REROLL = 10 ** 9

/**
 * A window to direct a line, or several at once.
 * @param {object} options
 * @param {string} options.where "chunks 3–5"
 * @param {() => Said} options.said what is said now
 * @param {(said: Partial<Said>) => void} options.change
 * @param {() => void} options.closed
 * @param {import("./placing.js").Box} options.avoid what it does not cover
 * @param {string} [options.tag] which part gets the keyboard
 */
export function openDirect({ where, said, change, closed, avoid, tag }) {
  const title = part("div", "magi-title", { text: words("direct", { where }) })
  const dialog = part("div", "magi-direct", { role: "dialog", "aria-label": words("direct", { where }) }, title)
  /** @param {Word} name @param {Node[]} content */
  const row = (name, ...content) => {
    const help = /** @type {Word} */ (`${name}_help`)
    const label = part("div", "magi-label", { text: words(name), title: name === "transition" ? "" : words(help) })
    const field = part("div", "magi-field", { role: "group", "aria-label": words(name), "data-tag": name }, ...content)
    dialog.append(part("div", "magi-form-row", {}, label, field))
  }
  /** @type {(() => void)[]} */
  const show = []
  /** @param {Partial<Said>} more */
  const changed = (more) => {
    change(more)
    for (const each of show) each()
  }
  row("transition", transitionField(said, changed, show))
  row("reroll", rerollField(said, changed, show))
  row("echo", echoField(said, changed, show))
  row("tokens", tokensField(said, changed, show))
  row("ranges", ...rangesField(said, changed, show))
  for (const each of show) each()
  pop(dialog, avoid, closed)
  const field = dialog.querySelector(`[data-tag="${tag}"]`) ?? dialog
  const first = field.querySelector("input:checked") ?? field.querySelector("input")
  if (first instanceof HTMLInputElement) first.focus()
}

/** @typedef {(said: Partial<Said>) => void} Change */

/** @param {() => Said} said @param {Change} change @param {(() => void)[]} show */
function transitionField(said, change, show) {
  const name = `magi-transition-${Math.random()}`
  const choices = TRANSITIONS.map((transition) => {
    const input = part("input", "", { type: "radio", name, value: transition })
    input.addEventListener("change", () => change({ transition }))
    show.push(() => void (input.checked = (said().transition ?? "continue") === transition))
    const hint = words(/** @type {Word} */ (`${transition}_help`))
    return part("label", "magi-choice", { title: hint }, input, part("span", "", { text: words(transition) }))
  })
  return part("div", "magi-segments", {}, ...choices)
}

/** @param {() => Said} said @param {Change} change @param {(() => void)[]} show */
function rerollField(said, change, show) {
  const most = String(MOST_REROLL)
  const attributes = { type: "number", min: `-${most}`, max: most, step: "1", "aria-label": words("reroll") }
  const input = part("input", "magi-number", attributes)
  input.addEventListener("change", () => {
    const number = Math.round(Number(input.value))
    change({ reroll: Number.isFinite(number) ? Math.max(-MOST_REROLL, Math.min(MOST_REROLL, number)) : 0 })
  })
  show.push(() => void (input.value = String(said().reroll ?? 0)))
  return input
}

/** @param {() => Said} said @param {Change} change @param {(() => void)[]} show */
function echoField(said, change, show) {
  const input = part("input", "", { type: "checkbox" })
  input.addEventListener("change", () => change({ echo: input.checked }))
  show.push(() => void (input.checked = said().echo ?? false))
  return part("label", "magi-check", {}, input, part("span", "", { text: words("echo_help") }))
}

/** @param {() => Said} said @param {Change} change @param {(() => void)[]} show */
function tokensField(said, change, show) {
  const own = part("input", "", { type: "checkbox" })
  own.addEventListener("change", () => change({ tokens: own.checked ? undefined : [] }))
  show.push(() => void (own.checked = !said().tokens))
  const boxes = TOKENS.map((token) => {
    const input = part("input", "", { type: "checkbox" })
    input.addEventListener("change", () => {
      const now = said().tokens ?? []
      change({ tokens: TOKENS.filter((name) => (name === token ? input.checked : now.includes(name))) })
    })
    show.push(() => {
      input.checked = said().tokens?.includes(token) ?? false
      input.disabled = !said().tokens
    })
    return part("label", "magi-check", {}, input, part("span", "", { text: words(token) }))
  })
  const all = part("label", "magi-check", {}, own, part("span", "", { text: words("tokens_settings") }))
  return part("div", "magi-tokens", {}, all, part("div", "magi-grid", {}, ...boxes))
}

/** @param {() => Said} said @param {Change} change @param {(() => void)[]} show */
function rangesField(said, change, show) {
  const input = part("input", "magi-ranges", { type: "text", placeholder: "1, 1, 3, 2", "aria-label": words("ranges") })
  const wrong = part("div", "magi-wrong", { role: "alert" })
  const note = part("div", "magi-note", { text: words("ranges_help") })
  input.addEventListener("change", () => {
    const ranges = readRanges(input.value)
    wrong.textContent = ranges ? "" : words("ranges_wrong")
    if (ranges) change({ ranges: ranges.length ? ranges : undefined })
  })
  show.push(() => {
    if (!wrong.textContent) input.value = said().ranges?.join(", ") ?? ""
  })
  return [part("div", "", {}, input, wrong, note)]
}

/**
 * "1, 1, 3, 2" as numbers; undefined where it is something else.
 * @param {string} text
 * @returns {number[] | undefined}
 */
export function readRanges(text) {
  const parts = text.split(/[\s,，、]+/).filter(Boolean)
  return parts.every((each) => /^[1-9]\d{0,5}$/.test(each)) ? parts.map(Number) : undefined
}

/**
 * @typedef {object} Action
 * @property {string} name
 * @property {string} [keys] how it is done by the keyboard
 * @property {string} [hint] what comes of it
 * @property {() => void} run
 * @property {boolean} [possible]
 */

/**
 * A menu at a place in the window; null is a line between actions.
 * @param {readonly (Action | null)[]} actions
 * @param {[number, number]} place
 * @param {() => void} closed
 */
export function openMenu(actions, [x, y], closed) {
  const menu = part("div", "magi-menu", { role: "menu" })
  for (const action of actions) {
    if (!action) menu.append(part("div", "magi-rule", { role: "separator" }))
    else menu.append(menuItem(menu, action))
  }
  menu.addEventListener("keydown", (event) => walkMenu(menu, event))
  pop(menu, { left: x, top: y, right: x, bottom: y }, closed)
  items(menu)[0]?.focus()
}

/** @param {HTMLElement} menu @param {Action} action */
function menuItem(menu, { name, keys = "", hint, run, possible = true }) {
  const label = part("span", "", { text: name })
  const button = part("button", "", { type: "button", role: "menuitem", tabindex: "-1", title: hint }, label)
  if (keys) button.append(part("kbd", "", { text: keys }))
  button.disabled = !possible
  button.addEventListener("click", () => {
    menu.hidePopover()
    run()
  })
  return button
}

/** @param {HTMLElement} menu @param {KeyboardEvent} event */
function walkMenu(menu, event) {
  const all = items(menu)
  const now = all.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement))
  /** @type {Record<string, number>} */
  const steps = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: all.length - 1 }
  if (event.key === "Tab") menu.hidePopover()
  else if (event.key in steps) all[((steps[event.key] ?? 0) + all.length) % all.length]?.focus()
  else return
  event.preventDefault()
}

/** @param {HTMLElement} menu */
function items(menu) {
  return /** @type {HTMLButtonElement[]} */ ([...menu.querySelectorAll("button:not(:disabled)")])
}
