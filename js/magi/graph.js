// Finding nodes and widgets. Nodes 2.0 draws the same graph as the classic canvas, so this holds in both.

/**
 * The node that the server calls `id`, which is a path inside subgraphs: "1:2:3".
 * @param {ComfyUI.Graph} root
 * @param {string} id
 * @returns {ComfyUI.Node | undefined}
 */
export function findNode(root, id) {
  /** @type {ComfyUI.Graph | undefined} */
  let graph = root
  let node
  for (const part of id.split(":")) {
    node = graph?.getNodeById(part) ?? graph?.getNodeById(Number(part))
    graph = node?.subgraph
  }
  return node ?? undefined
}

/**
 * What the server calls `node`; undefined where it is in no graph of `root`.
 * @param {ComfyUI.Graph} root
 * @param {ComfyUI.Node} node
 * @returns {string | undefined}
 */
export function pathOf(root, node) {
  if (root.getNodeById(node.id) === node) return String(node.id)
  for (const each of root.nodes) {
    const inside = each.subgraph && pathOf(each.subgraph, node)
    if (inside !== undefined) return `${each.id}:${inside}`
  }
  return undefined
}

/**
 * Whether `node` is one of this pack's.
 * @param {ComfyUI.Node} node
 */
export function isMagi(node) {
  return node.comfyClass?.startsWith("Magi") ?? false
}

/**
 * @param {ComfyUI.Node} node
 * @param {string} name
 * @returns {ComfyUI.Widget | undefined}
 */
export function findWidget(node, name) {
  return node.widgets?.find((widget) => widget.name === name)
}
