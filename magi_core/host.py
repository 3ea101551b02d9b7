"""What the engine needs of a host that places weights: ComfyUI, or nobody."""

from __future__ import annotations

from typing import Protocol


class OnDevice(Protocol):
    """Something that holds memory on the device between runs."""

    def release_device(self) -> None: ...


class Host(Protocol):
    def loaded_for(self, need: int) -> None:
        """Have the transformer's weights ready, with room for `need` bytes beside them. Asked before every forward."""
        ...

    def room(self) -> int | None:
        """Bytes for a run on the device, with the least of the weights there; None: all that the device has."""
        ...

    def fits(self, need: int) -> bool:
        """Whether a run of `need` bytes finds room beside all of the weights; else what can waits in main memory."""
        ...

    def spare(self, need: int) -> int | None:
        """Bytes that work of `need` bytes leaves beside all of the weights, for what is kept there; 0 where they do not
        find room. None: nobody counts."""
        ...

    def release(self, kept: OnDevice) -> None:
        """A run is over or given up; `kept` may leave the device now."""
        ...

    def cancelled(self) -> bool:
        """Whether the user wants to stop. Asked before every forward."""
        ...


class Alone:
    """No host: weights are where they were loaded, and what is kept stays."""

    def loaded_for(self, need: int) -> None:
        pass

    def room(self) -> int | None:
        return None

    def fits(self, need: int) -> bool:
        return True

    def spare(self, need: int) -> int | None:
        return None

    def release(self, kept: OnDevice) -> None:
        pass

    def cancelled(self) -> bool:
        return False
