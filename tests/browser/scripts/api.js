// ComfyUI's `api`, as far as this pack uses it. Tests tell events with `api.tell` and put answers into `api.answers`.
class Api extends EventTarget {
  /** What routes answer, by path: a value, or a function of the body. */
  answers = {}
  /** [route, body] of what was asked. */
  asked = []

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }))
  }

  apiURL(route) {
    return `/api${route}`
  }

  async fetchApi(route, { body } = {}) {
    const given = body ? JSON.parse(body) : undefined
    this.asked.push([route, given])
    const answer = this.answers[route.split("?")[0]]
    if (answer === undefined) return new Response("{}", { status: 404 })
    return Response.json(typeof answer === "function" ? await answer(given, route) : answer)
  }

  async queuePrompt() {}
}

export const api = new Api()
window.api = api
