"""The desk of this ComfyUI: one memory and one book of speeds for all runs and routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import comfy.model_management as management

from magi_core.errors import printable

from .asked import MAX_ID
from .events import Ended, NodeRun
from .kept_clips import KeptClips
from .memory import DeskMemory
from .speeds import Speeds
from .store import Store

STORE = Store()
MEMORY = DeskMemory(STORE, KeptClips())
SPEEDS = Speeds(STORE)


def workflow_of(extra_pnginfo: Any) -> str:
    """Id of the workflow that a prompt was queued from, or "": a program may have queued it, and may say anything."""
    workflow = extra_pnginfo.get("workflow") if isinstance(extra_pnginfo, Mapping) else None
    found = workflow.get("id") if isinstance(workflow, Mapping) else None
    return found if isinstance(found, str) and len(found) <= MAX_ID else ""


@contextmanager
def node_run(hidden: Any) -> Iterator[NodeRun]:
    """A run of the node that is executed, which tells how it ended. hidden: ComfyUI's, of the node."""
    run = NodeRun(hidden.unique_id, workflow_of(hidden.extra_pnginfo), MEMORY.heard)
    try:
        yield run
    except management.InterruptProcessingException:
        run.tell(Ended("interrupted"))
        raise
    except Exception as error:
        run.tell(Ended("failed", printable(error)))
        raise
    run.tell(Ended("done"))
