"""Stand-in for `comfy.utils`: progress bars leave their updates in `updates`, pictures in `previews`."""

updates: list[tuple[int, int]] = []
previews: list[tuple] = []


class ProgressBar:
    def __init__(self, total: int, node_id: str | None = None) -> None:
        self.total, self.current = total, 0

    def update_absolute(self, value: int, total: int | None = None, preview: tuple | None = None) -> None:
        self.current = value
        updates.append((value, total or self.total))
        if preview is not None:
            previews.append(preview)

    def update(self, value: int) -> None:
        self.update_absolute(self.current + value)


def set_attr_param(obj: object, attr: str, value: object) -> None:
    raise NotImplementedError("weights are moved in a real ComfyUI only: see tools/comfyui/inside")
