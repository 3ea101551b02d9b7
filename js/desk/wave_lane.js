// The sound under the ruler of a strip, as a shape.
import { outline } from "./wave.js"

/** @typedef {import("../magi/api.js").Sound} Sound */

/**
 * A sound at its place. `from` and `to`: seconds of the sound that the tile shows.
 * @typedef {{ id: number, first: number, last: number, sound: Sound, from: number, to: number }} Tile
 */

const FRAMES = 24 // of a chunk
const TILE = 8 // chunks that are drawn together
const SVG = "http://www.w3.org/2000/svg"

/**
 * @param {object} hands
 * @param {() => { sound: Sound, start: number } | undefined} hands.heard start: seconds on the ruler at which it begins
 * @param {() => number} hands.first chunk of the strip
 * @param {() => number} hands.end the chunk behind the last one
 * @param {() => number} hands.offset chunks of the video before chunk 0 of the strip
 * @param {() => number} hands.fps
 * @returns {import("./lane.js").Lane<Tile>}
 */
export function waveLane({ heard, first, end, offset, fps }) {
  let known = ""
  /** @type {Tile[]} */
  let tiles = []
  return {
    name: "sound",
    hides: true,
    items() {
      const now = heard()
      const all = now ? [now.sound.key, now.start, first(), end(), offset(), fps()].join() : ""
      if (all !== known) [known, tiles] = [all, now ? tilesOf(now, first(), end(), offset(), FRAMES / fps()) : []]
      return tiles
    },
    draw(cell, { sound, from, to }) {
      const shape = `${sound.key} ${from} ${to}`
      if (cell.dataset.shape === shape) return
      cell.dataset.shape = shape
      const svg = document.createElementNS(SVG, "svg")
      const path = document.createElementNS(SVG, "path")
      svg.setAttribute("viewBox", "0 -1 1000 2")
      svg.setAttribute("preserveAspectRatio", "none")
      path.setAttribute("d", outline(sound, from, to))
      svg.append(path)
      cell.replaceChildren(svg)
    },
  }
}

/**
 * @param {{ sound: Sound, start: number }} heard
 * @param {number} first
 * @param {number} end
 * @param {number} offset
 * @param {number} seconds of a chunk
 */
function tilesOf({ sound, start }, first, end, offset, seconds) {
  const tiles = []
  for (let chunk = first; chunk < end; chunk += TILE) {
    const behind = Math.min(chunk + TILE, end)
    const from = (chunk + offset) * seconds - start
    const to = (behind + offset) * seconds - start
    if (to > 0 && from < sound.seconds) tiles.push({ id: chunk, first: chunk, last: behind - 1, sound, from, to })
  }
  return tiles
}
