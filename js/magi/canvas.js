// What ComfyUI's canvas should still feel where this pack's elements lie over it.

/**
 * Leave to the canvas what an element does not use: the wheel, which zooms and pans, and the middle button.
 *
 * The classic canvas lies under elements and hears nothing of them. Nodes 2.0 is around them and hears what they leave.
 * @param {HTMLElement} element
 * @param {() => HTMLCanvasElement} canvas
 */
export function leaveToCanvas(element, canvas) {
  const around = () => element.closest("[data-node-id]") !== null
  element.addEventListener("wheel", (event) => {
    if (event.defaultPrevented || around()) return
    event.preventDefault()
    canvas().dispatchEvent(new WheelEvent(event.type, event))
  })
  for (const name of /** @type {const} */ (["pointerdown", "pointermove", "pointerup"])) {
    element.addEventListener(name, (event) => {
      const middle = event.button === 1 || (event.buttons & 4) !== 0
      if (!middle || around()) return
      event.preventDefault()
      canvas().dispatchEvent(new PointerEvent(event.type, event))
    })
  }
}
