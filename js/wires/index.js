// A colour for every type of wire of this pack, in both renderers. A colour palette that names one of them wins.
import { app } from "../../../scripts/app.js"
import { useStyles } from "../magi/style.js"
import { COLOURS } from "./colours.js"

app.registerExtension({ name: "magi.wires", setup })

function setup() {
  useStyles(new URL("./wires.css", import.meta.url).href) // Nodes 2.0
  for (const table of [LGraphCanvas.link_type_colors, app.canvas.default_connection_color_byType]) {
    for (const [type, colour] of Object.entries(COLOURS)) lend(table, type, colour)
  }
}

/**
 * Give a type its colour. ComfyUI empties the entries of types that a colour palette does not name, whenever one is
 * chosen; this one then comes back.
 * @param {Record<string, unknown>} table
 * @param {string} type
 * @param {string} colour
 */
function lend(table, type, colour) {
  let chosen = table[type]
  Object.defineProperty(table, type, {
    get: () => chosen || colour,
    set: (value) => void (chosen = value),
    enumerable: true,
    configurable: true,
  })
}
