// Whose prompt it is. Events name nodes by numbers, which another open workflow uses as well.

/**
 * Tells whether the workflow that is shown queued a prompt. Where the server does not say who did, it counts as ours.
 *
 * The answers come in the order of the questions, so that events keep theirs.
 * @param {() => string} shown id of the workflow that is shown when the answer comes
 * @param {(promptId: string) => Promise<string | undefined>} workflowOf asked once for a prompt
 * @returns {(promptId: string) => Promise<boolean>}
 */
export function promptsOfShown(shown, workflowOf) {
  let asked = ""
  /** @type {Promise<string | undefined>} */
  let answer = Promise.resolve(undefined)
  return async (promptId) => {
    if (promptId !== asked) {
      asked = promptId
      answer = Promise.all([workflowOf(promptId), answer]).then(([workflow]) => workflow)
    }
    const workflow = await answer
    return workflow === undefined || workflow === shown()
  }
}
