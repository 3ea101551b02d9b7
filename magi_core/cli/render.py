"""`python -m magi_core render`: run a checked plan."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from magi_core import __version__
from magi_core.cli.make import Outputs, claimed, directed, make
from magi_core.cli.render_plan import RenderPlan, plan_render
from magi_core.cli.say import say
from magi_core.cli.settings import with_scales
from magi_core.state.describe import counted


def render(options: argparse.Namespace, *, load: Callable[..., Any] | None = None) -> int:
    """The command: plan, load, sample, decode, write. load: in place of `magi_core.load`."""
    plan = plan_render(options)
    with claimed(video=plan.out, take=plan.save, sheet=plan.sheet) as names:
        return _render(plan, names, load)


def _render(plan: RenderPlan, names: dict[str, Any], load: Callable[..., Any] | None) -> int:
    say(f"rendering {_describe(plan)}")
    for line in plan.board.to_text().splitlines():
        say(f"  {line}")
    for note in plan.notes:
        say(f"note: {note}")
    from magi_core.loading import load as standard  # brings in PyTorch's heavier parts: options are checked before

    engine = (load or standard)(
        plan.model,
        variant=plan.variant,
        device=plan.device,
        dtype=plan.dtype,
        attention=plan.attention,
        compiled=plan.compiled,
        vram=plan.vram,
    )
    return _run(plan, names, engine)


def _run(plan: RenderPlan, names: dict[str, Any], engine: Any) -> int:
    """Sample, decode and write with a loaded engine."""
    engine = engine.with_settings(**plan.changes, guidance=with_scales(engine.settings.guidance, plan.scales))
    prompts = directed(engine, engine.settings, plan.board, clean=plan.clean)
    begun = engine.begin(
        width=plan.width,
        height=plan.height,
        seed=plan.seed,
        fps=float(plan.fps),
        image=plan.image,
        video=plan.video,
        total_chunks=plan.length.chunks,
    )
    for note in begun.notes:
        say(f"note: {note}")
    if plan.sound is not None:
        begun = begun.with_sound(plan.sound)
    outputs = Outputs(
        **names,
        frames=plan.length.frames,
        sound=plan.audio,
        metadata=_metadata(plan, engine),
        title=f"{plan.model} · {plan.width}x{plan.height} · seed {plan.seed} · {engine.settings.steps} steps",
    )
    return make(engine, begun, prompts, outputs, model=plan.model, end=plan.length.frames)


def _metadata(plan: RenderPlan, engine: Any) -> dict[str, Any]:
    """What the video is made from, so that it can be made again."""
    return {
        "title": " / ".join(dict.fromkeys(plan.board.prompts))[:200],
        "storyboard": plan.board.to_json(),
        "comment": {
            "made_with": f"magi_core {__version__}",
            "model": plan.model,
            "seed": plan.seed,
            "steps": engine.settings.steps,
            "prompts": plan.board.prompts,
        },
    }


def _describe(plan: RenderPlan) -> str:
    start = "" if plan.image is None else " from an image"
    if plan.video is not None:  # they are encoded first, however few pictures of the file they come from
        start = f" continuing {counted(len(plan.video), 'frame')} of video"
    return (
        f"{counted(plan.length.chunks)}{start}, {plan.width}x{plan.height} at {float(plan.fps):.6g} fps, "
        f"seed {plan.seed}, model {plan.model} on {plan.device}"
    )
