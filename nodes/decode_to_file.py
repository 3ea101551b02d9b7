"""`Magi Decode to File`: the video so far as an mp4, however long it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import comfy.model_management as management
import comfy.sd
import comfy.utils
import folder_paths
from comfy.cli_args import args
from comfy_api.latest import InputImpl, io, ui
from torch import Tensor

from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError, echo
from magi_core.state import other_vae
from magi_core.state.decode import TakeDecoder, record
from magi_core.state.story import story_of
from magi_core.video.output_path import check_name, check_place
from magi_core.video.recording import VideoRecording
from magi_core.writing.claim import is_claimed

from .desk.sounds import note_audio
from .host.file_names import resolved
from .host.queued import queued_graph
from .host.sound import heard_in
from .host.take_folder import shown
from .host.vae import magi_vae
from .ui.checks import Checked
from .ui.codec_notes import noting
from .ui.progress import show, show_notes
from .wires import CATEGORY, HeldState, State


def _check_name(filename_prefix: str) -> None:
    _named(resolved(filename_prefix, width=0, height=0, graph=queued_graph()))


class MagiDecodeToFile(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiDecodeToFile",
            display_name="Magi Decode to File",
            category=CATEGORY,
            description="Decodes the video so far chunk by chunk straight into an mp4: memory does not grow with its "
            "length, and the file can be played while it grows. The workflow and the storyboard are in it.",
            search_aliases=["magi save video", "stream to file", "export mp4", "decode long video", "save video"],
            inputs=[
                io.Vae.Input("vae", tooltip="From Magi Load VAE."),
                State.Input("state", tooltip="From any node that makes or loads a video in progress."),
                io.String.Input(
                    "filename_prefix",
                    default="video/magi",
                    tooltip="Name of the file in ComfyUI's output folder; a number is added. May name a folder and use "
                    "%date:yyyy-MM-dd%, %width%, %height%, %year%, %month%, %day%, or %Node.widget% for what is typed "
                    "in another node.",
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="Sound of the whole video. Without it, a video that was continued keeps its own sound, and "
                    "what follows is silent.",
                ),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The file as a video, for ComfyUI's video nodes.")],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    validate_inputs = classmethod(Checked("MagiDecodeToFile", {"filename_prefix": _check_name}))

    @classmethod
    def execute(cls, vae: comfy.sd.VAE, state: HeldState, filename_prefix: str, audio: Any = None) -> io.NodeOutput:
        made, vae, node_id = state.state, magi_vae(vae), cls.hidden.unique_id
        if not made.frames:
            raise MagiError("there is nothing to decode yet: make chunks with Magi Chunk Sampler first")
        sound = heard_in(made, audio)
        note_audio(cls.hidden.prompt, node_id, audio)
        name = resolved(filename_prefix, width=made.width, height=made.height, graph=cls.hidden.prompt or {})
        path, subfolder = _new_file(name, made.width, made.height)
        recording = VideoRecording(
            path,
            width=made.width,
            height=made.height,
            fps=made.fps,
            metadata=_metadata(cls.hidden, story_of(made).to_json()),
            sound=sound,
        )
        note = other_vae(made, vae.codec.identity)
        show_notes(node_id, filter(None, [note]))
        bar, done = comfy.utils.ProgressBar(made.frames, node_id=node_id), 0

        def on_frames(block: Tensor) -> None:
            nonlocal done
            management.throw_exception_if_processing_interrupted()
            done += len(block)
            bar.update_absolute(done)

        announced = min(made.frames, VIDEO_FRAMES_PER_CHUNK)
        with vae.working(announced, made.width, made.height) as codec, noting(codec, node_id), recording:
            for _ in record(TakeDecoder(codec), [made], recording, on_frames=on_frames):
                pass
        show(node_id, f"saved {shown(path)}: {recording.frames} frames", recording.note, note)
        saved = ui.SavedResult(path.name, subfolder, io.FolderType.output)
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)), ui=ui.PreviewVideo([saved]))


def _new_file(prefix: str, width: int, height: int) -> tuple[Path, str]:
    """The next free name for `prefix`, and its folder in the output folder; errors as of `_named`."""
    output = _named(prefix)
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, str(output), width, height)
    path = Path(folder) / f"{name}_{counter:05}_.mp4"
    while path.exists() or is_claimed(path):  # another ComfyUI has just begun to write it
        counter += 1
        path = path.with_name(f"{name}_{counter:05}_.mp4")
    return path, subfolder


def _named(prefix: str) -> Path:
    """The output folder. Names that lead out of it, or that no file can have, raise `MagiError`."""
    output = Path(os.path.abspath(folder_paths.get_output_directory()))
    if not prefix.strip() or not Path(os.path.abspath(output / prefix)).is_relative_to(output):
        raise MagiError(
            f"videos are saved in ComfyUI's output folder: {echo(prefix)} -> use a name such as 'video/magi'"
        )
    check_name(prefix.strip())
    check_place(output / prefix)
    return output


def _metadata(hidden: Any, storyboard: str) -> dict[str, Any]:
    """What ComfyUI's own Save Video writes, and the storyboard; nothing where the user wants none."""
    if args.disable_metadata:
        return {}
    given = {"prompt": hidden.prompt} | (hidden.extra_pnginfo or {})
    return {name: value for name, value in given.items() if value is not None} | {"storyboard": storyboard}
