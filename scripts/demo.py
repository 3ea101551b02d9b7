"""The demo: three prompts, one after the other, as a video and a contact sheet. Run it with `bash scripts/demo.sh`."""

from __future__ import annotations

import json
import os
import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path

from magi_core.cli.doctor import find_comfyui
from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.video import read_video
from magi_core.video.contact_sheet import contact_sheet
from scripts import demo_comfyui
from scripts.workflow import Graph, Story, story_of, to_api

REPOSITORY = Path(__file__).parents[1]
WORKFLOW = REPOSITORY / "workflows" / "01 Text to video.json"
VIDEO, SHEET = Path("output/demo.mp4"), Path("output/demo.png")
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes


def main() -> int:
    started = time.monotonic()
    graph = to_api(json.loads(WORKFLOW.read_text(encoding="utf-8")))
    story = story_of(graph)
    VIDEO.parent.mkdir(exist_ok=True)
    for path in (VIDEO, SHEET):
        path.unlink(missing_ok=True)
    print(f"{len(story.prompts)} seconds of video from {len(story.parts)} prompts:")
    for prompt, chunks in story.parts:
        print(f"  {chunks} s  {prompt}")
    made_with = "ComfyUI" if _through_comfyui(graph, story) else "the engine alone"
    if made_with != "ComfyUI" and (status := _with_the_engine(story)):
        return status
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * MAXRSS_UNIT
    print(
        f"\nvideo          {VIDEO}\ncontact sheet  {SHEET}\nmade with      {made_with}\n"
        f"time           {time.monotonic() - started:.0f} s\npeak memory    {peak / 2**30:.1f} GiB"
    )
    return 0


def _through_comfyui(graph: Graph, story: Story) -> bool:
    """Whether it worked; says what it does, or why not."""
    comfyui = find_comfyui()
    if comfyui is None:
        named = os.environ.get("COMFYUI_PATH")
        where = (
            f"COMFYUI_PATH is {named}, which is not ComfyUI"
            if named
            else "looked at COMFYUI_PATH, around this folder and at ~/comfy/ComfyUI"
        )
        _say(f"no ComfyUI found ({where}): rendering with the engine alone")
        return False
    _say(f"rendering through the ComfyUI in {comfyui}, on the CPU; this takes up to a minute")
    try:
        demo_comfyui.render(comfyui, graph, VIDEO)
    except (OSError, RuntimeError) as error:
        _say(f"{error}\n\nNot through ComfyUI, then: rendering with the engine alone")
        return False
    frames = read_video(VIDEO).frames
    title = f"{story.model} in ComfyUI · {story.width}x{story.height} · seed {story.seed}"
    contact_sheet(frames.split(VIDEO_FRAMES_PER_CHUNK), story.prompts, SHEET, title=title)
    return True


def _with_the_engine(story: Story) -> int:
    """Exit status of the same story on the command line. The prompts share the length equally, as the parts do."""
    command = ["-m", "magi_core", "render", *(prompt for prompt, _ in story.parts)]
    command += ["--chunks", len(story.prompts), "--width", story.width, "--height", story.height]
    command += ["--seed", story.seed, "--model", story.model, "--out", VIDEO, "--contact-sheet", SHEET]
    arguments = [str(word) for word in command]
    _say(f"python {shlex.join(arguments)}")
    return subprocess.run([sys.executable, *arguments], check=False).returncode


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
