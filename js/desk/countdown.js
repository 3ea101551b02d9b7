// Time left, counted down between the events that tell it. No DOM.

const SECOND = 1000 // milliseconds

/**
 * Seconds left now; null where that is not known.
 * @param {{ secondsLeft: number | null, toldAt: number }} pace
 * @param {number} now by the same clock as `toldAt`, in milliseconds
 */
export function leftNow({ secondsLeft, toldAt }, now) {
  return secondsLeft === null ? null : Math.max(0, secondsLeft - Math.max(0, now - toldAt) / SECOND)
}

/** Has something done every second, as long as it is of use. */
export class Countdown {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer

  /** @param {() => boolean} tick false: nothing counts down any more */
  constructor(tick) {
    this.tick = tick
  }

  /** Something may count down from now on. */
  begin() {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      if (this.tick()) this.begin()
    }, SECOND)
  }
}
