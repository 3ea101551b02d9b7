// The strip of a storyboard: its lines, and under them the chunks that a node makes of it.
import { drawBlock, sayBlock } from "./block.js"
import { chunkLane } from "./chunk_lane.js"
import { editWords } from "./line_editor.js"
import { openMenuOf } from "./story_windows.js"
import { words } from "./story_words.js"
import { Strip } from "./strip.js"
import { waveLane } from "./wave_lane.js"

const CHUNK = 112 // pixels
const LEAST = 84
const TAIL = 34 // for what adds a line

/**
 * @param {import("./storyboard.js").StoryboardDesk} desk
 * @param {(event: KeyboardEvent) => boolean} key
 * @param {() => void} selected
 */
export function storyStrip(desk, key, selected) {
  const { host } = desk
  /** @type {import("./strip.js").Lane<import("./storyboard.js").Item>} */
  const lines = {
    name: "lines",
    items: () => desk.items,
    draw: (cell, { block }) => drawBlock(cell, block),
    say: ({ block }) => sayBlock(block),
  }
  const play = (/** @type {number} */ index) => host.play(index, false)
  const wave = waveLane({
    heard: () => host.heard(),
    first: () => 0,
    end: () => desk.strip.end,
    offset: () => desk.editing.plan?.first ?? 0,
    fps: () => host.fps(),
  })
  return new Strip({
    label: words("strip"),
    lanes: [lines, chunkLane({ cells: () => host.cells(), play, gone: (id) => host.gone(id) }), wave],
    chunkWidth: CHUNK,
    least: LEAST,
    tail: TAIL,
    fps: host.fps(),
    hands: {
      open: (item) => editWords(desk, Number(item.id)),
      play: () => host.play((desk.editing.plan?.first ?? 0) + desk.strip.cursor, true),
      key,
      selected,
      menu: (_, x, y) => openMenuOf(desk, x, y),
    },
  })
}
