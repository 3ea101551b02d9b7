/** What this pack uses of ComfyUI's frontend, as far as `tsc` has to know it; the same in both renderers. */
declare namespace ComfyUI {
  interface Widget {
    name: string
    value?: unknown
    options?: { advanced?: boolean; hidden?: boolean; getMinHeight?: () => number }
    /** What is queued in place of the value. */
    serializeValue?: () => Promise<unknown>
    advanced?: boolean
    hidden?: boolean
    serialize?: boolean
  }

  interface DOMWidget extends Widget {
    element: HTMLElement
  }

  interface DOMWidgetOptions {
    serialize?: boolean
    hideOnZoom?: boolean
    margin?: number
    getMinHeight?: () => number
    getMaxHeight?: () => number
  }

  interface Node {
    id: string | number
    inputs?: { name: string; widget?: { name: string } }[]
    comfyClass?: string
    title?: string
    size: [number, number]
    widgets?: Widget[]
    /** What is inside, when the node is a subgraph. */
    subgraph?: Graph
    isInputConnected(slot: number): boolean
    onConnectionsChange?(...change: unknown[]): void
    onSerialize?(data: { size: [number, number] }): void
    toggleAdvanced(): void
    arrange(): void
    /** Look again which widgets a link goes into. */
    updateComputedDisabled(): void
    showAdvanced?: boolean
    getLayoutWidgets?: () => Widget[]
    addDOMWidget(name: string, type: string, element: HTMLElement, options: DOMWidgetOptions): DOMWidget
    removeWidget(widget: Widget): void
    computeSize(): [number, number]
    setSize(size: [number, number]): void
  }

  interface Graph {
    /** The workflow's id, in the graph of a whole workflow. */
    id: string
    nodes: Node[]
    getNodeById(id: string | number): Node | null | undefined
  }

  interface Extension {
    name: string
    setup?(): void
    nodeCreated?(node: Node): void
    /** Nodes of a workflow that was opened have their ids, values and links. */
    afterConfigureGraph?(): void
  }

  interface App {
    rootGraph: Graph
    canvas: {
      canvas: HTMLCanvasElement
      setDirty(front: boolean, back?: boolean): void
      emitBeforeChange(): void
      emitAfterChange(): void
      default_connection_color_byType: Record<string, unknown>
    }
    /** The graph as it is queued: ids inside subgraphs are paths. */
    graphToPrompt(): Promise<{ output: Record<string, { class_type: string; inputs: Record<string, unknown> }> }>
    registerExtension(extension: Extension): void
    extensionManager?: { toast: { add(message: Toast): void }; setting?: { get(id: string): unknown } }
  }

  interface Toast {
    severity: "error" | "warn" | "info"
    summary: string
    detail: string
    /** Milliseconds. */
    life: number
  }

  interface Failure {
    prompt_id: string
    node_id: string
    node_type: string
    exception_type: string
    exception_message: string
  }

  /** Sent by ComfyUI's server whenever a node begins, gets on or ends: every node of the prompt that is not waiting. */
  interface ProgressState {
    prompt_id: string
    nodes: Record<string, { state: "running" | "finished" | "error" }>
  }

  /** What the server answers of one node of a graph that it does not run. */
  interface NodeErrors {
    class_type: string
    errors: { type: string; details: string }[]
  }

  interface Api {
    queuePrompt(...prompt: unknown[]): Promise<unknown>
    addEventListener(
      name: "progress_text",
      listener: (event: CustomEvent<{ nodeId: string; text: string }>) => void,
    ): void
    addEventListener(name: "progress_state", listener: (event: CustomEvent<ProgressState>) => void): void
    addEventListener(name: "execution_error", listener: (event: CustomEvent<Failure>) => void): void
    addEventListener(
      name: "execution_error" | "execution_interrupted",
      listener: (event: CustomEvent<{ prompt_id: string; node_id: string }>) => void,
    ): void
    addEventListener(name: "graphChanged" | "promptQueued" | "reconnected", listener: () => void): void
    addEventListener(
      name: "status",
      listener: (event: CustomEvent<{ exec_info: { queue_remaining: number } } | null>) => void,
    ): void
    addEventListener(name: `magi.${string}`, listener: (event: CustomEvent) => void): void
    /** The address of one of the server's routes. */
    apiURL(route: string): string
    fetchApi(route: string, options?: RequestInit): Promise<Response>
  }
}

/** vueNodesMode: Nodes 2.0. */
declare const LiteGraph: { vueNodesMode?: boolean }
declare const LGraphCanvas: { link_type_colors: Record<string, unknown> }

declare module "*/scripts/app.js" {
  export const app: ComfyUI.App
}

declare module "*/scripts/api.js" {
  export const api: ComfyUI.Api
}
