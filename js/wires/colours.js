// Told apart from each other, and from the canvas in light themes and dark ones (nearly 3 : 1 against both). The same colours
// stand in wires.css.

export const COLOURS = {
  MAGI_MODEL: "#8f5fd6",
  MAGI_TEXT_ENCODER: "#8a7a10",
  MAGI_CONDITIONING: "#d1502a",
  MAGI_STORYBOARD: "#1f8a4c",
  MAGI_STATE: "#2580c0",
}
