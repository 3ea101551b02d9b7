"""Stand-in for `comfy_execution.graph_utils`."""


class ExecutionBlocker:
    def __init__(self, message: str | None) -> None:
        self.message = message
