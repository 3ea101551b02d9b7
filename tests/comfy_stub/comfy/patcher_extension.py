"""Stand-in for `comfy.patcher_extension`."""

from typing import Any, NamedTuple


class CallbacksMP:
    ON_DETACH = "on_detach"


class PatcherInjection(NamedTuple):
    inject: Any
    eject: Any
