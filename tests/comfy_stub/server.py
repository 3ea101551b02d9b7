"""Stand-in for ComfyUI's `server`: text sent to nodes is kept in `PromptServer.instance.texts`."""


class PromptServer:
    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def send_progress_text(self, text: str, node_id: str) -> None:
        self.texts.append((node_id, text))


PromptServer.instance = PromptServer()
