// Elements that the desk is built of. Text is only ever put in as text.

import { placeBeside } from "./placing.js"

const SVG = "http://www.w3.org/2000/svg"

/** Lines on a field of 16 by 16. */
const ICONS = {
  add: "M8 3v10M3 8h10",
  split: "M8 2v12M5.5 5L2.5 8l3 3M10.5 5l3 3-3 3",
  duplicate: "M6 6h7.5v7.5H6zM3.5 10H2.5V2.5H10v1",
  remove: "M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5M6.7 7v3.6M9.3 7v3.6",
  reroll: "M13 8a5 5 0 1 1-1.7-3.7M13 2.5V5.3h-2.8",
  direct: "M2.5 5h5M11 5h2.5M2.5 11H5M8.5 11h5M9 3.4v3.2M6.6 9.4v3.2",
  undo: "M5.5 3L2.5 6l3 3M2.5 6H9a4 4 0 0 1 0 7.5H6",
  redo: "M10.5 3l3 3-3 3M13.5 6H7a4 4 0 0 0 0 7.5h3",
  narrower: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10M10.6 10.6L14 14M4.7 7h4.6",
  wider: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10M10.6 10.6L14 14M4.7 7h4.6M7 4.7v4.6",
  fit: "M2.5 3v10M13.5 3v10M4.5 8h7M6.5 6l-2 2 2 2M9.5 6l2 2-2 2",
  cut: "M4.2 6.3a1.9 1.9 0 1 0 0-3.8 1.9 1.9 0 0 0 0 3.8M4.2 13.5a1.9 1.9 0 1 0 0-3.8 1.9 1.9 0 0 0 0 3.8M5.8 5.6L13.5 12M5.8 10.4L13.5 4",
  new_shot: "M2.5 5h7v6h-7zM9.5 7.3l4-2v5.4l-4-2",
  restyle: "M8 2.5s4 4.3 4 7a4 4 0 0 1-8 0c0-2.7 4-7 4-7",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
}

/** @typedef {keyof typeof ICONS} Icon */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} [classes]
 * @param {{ text?: string, [attribute: string]: string | undefined }} [attributes] text, or attributes as in HTML
 * @param {Node[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function part(tag, classes = "", { text, ...attributes } = {}, ...children) {
  const element = document.createElement(tag)
  if (classes) element.className = classes
  if (text !== undefined) element.textContent = text
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/** @param {Icon} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg")
  svg.setAttribute("viewBox", "0 0 16 16")
  svg.setAttribute("class", "magi-icon")
  svg.setAttribute("aria-hidden", "true")
  const path = document.createElementNS(SVG, "path")
  path.setAttribute("d", ICONS[name])
  svg.append(path)
  return svg
}

/**
 * A button that shows an icon; its name is said and shown as a hint.
 * @param {Icon} name
 * @param {string} label
 * @param {() => void} press
 */
export function iconButton(name, label, press) {
  const button = part("button", "magi-button", { type: "button", title: label, "aria-label": label }, icon(name))
  button.addEventListener("click", press)
  return button
}

/**
 * Keep what happens inside an element from ComfyUI's canvas, which would move or delete the node.
 *
 * The middle button and, where a wheel is not used here, the wheel are left to it.
 * @param {HTMLElement} element
 */
export function keepInside(element) {
  for (const name of /** @type {const} */ (["pointerdown", "pointermove", "pointerup", "mousedown", "mouseup"])) {
    element.addEventListener(name, (event) => {
      if (event.button !== 1 && !(event.buttons & 4)) event.stopPropagation()
    })
  }
  for (const name of /** @type {const} */ (["click", "dblclick", "contextmenu", "copy", "cut", "paste", "dragstart"])) {
    element.addEventListener(name, (event) => event.stopPropagation())
  }
  element.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation()
  })
}

/**
 * Show an element over everything until something else is pressed.
 * @param {HTMLElement} element
 * @param {import("./placing.js").Box} avoid what it is about, and does not cover; a point: it is there
 * @param {() => void} [closed]
 */
export function pop(element, avoid, closed) {
  element.popover = "auto"
  element.classList.add("magi-popover")
  keepInside(element)
  document.body.append(element)
  element.showPopover()
  const [left, top] = placeBeside(element.getBoundingClientRect(), avoid, { width: innerWidth, height: innerHeight })
  element.style.left = `${left}px`
  element.style.top = `${top}px`
  element.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState !== "closed") return
    element.remove()
    closed?.()
  })
}
