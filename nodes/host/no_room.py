"""When memory runs out in a node: ComfyUI's models are unloaded, and it is said in words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import comfy.model_management as management
from comfy_api.latest import io

from magi_core.errors import MagiError, is_out_of_memory

T = TypeVar("T")
Node = TypeVar("Node", bound=type[io.ComfyNode])
NO_ROOM = (
    "there is not enough memory for this node: close other programs that use the device, work at a smaller size, or "
    "take a smaller model. Models of other nodes have been unloaded: running it once more may be enough"
)


def in_words(run: Callable[[], T], words: str = NO_ROOM) -> T:
    """`run()`; where memory runs out, `MagiError` of `words`.

    Said outside the handler, which would keep the tensors of the attempt alive.
    """
    try:
        return run()
    except Exception as error:
        if isinstance(error, MagiError) or not is_out_of_memory(error):
            raise
    management.unload_all_models()
    management.soft_empty_cache()
    raise MagiError(words)


def telling(node: Node) -> Node:
    """The node, whose `execute` tells in words when memory runs out."""
    execute = node.execute.__func__

    @functools.wraps(execute)
    def told(cls: Any, *given: Any, **named: Any) -> Any:
        return in_words(lambda: execute(cls, *given, **named))

    node.execute = classmethod(told)
    return node
