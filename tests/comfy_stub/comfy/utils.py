"""Stand-in for `comfy.utils`: progress bars leave their updates in `updates`."""

updates: list[tuple[int, int]] = []


class ProgressBar:
    def __init__(self, total: int, node_id: str | None = None) -> None:
        self.total = total

    def update_absolute(self, value: int, total: int | None = None) -> None:
        updates.append((value, total or self.total))
