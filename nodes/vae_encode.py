"""`Magi VAE Encode`: the image or video that a new one starts with."""

from __future__ import annotations

import comfy.sd
from comfy_api.latest import Input, io
from torch import Tensor

from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError
from magi_core.vae.given import GivenVideo, given_frames
from magi_core.vae.prefix import encode_continued, encode_image, missing_frames
from magi_core.video import exact_fps
from magi_core.video.size import check_size

from .host.sound import to_audio
from .host.vae import magi_vae
from .host.video import counted, given_video
from .ui.checks import Checked, Checks, refuse
from .ui.codec_notes import noting
from .ui.progress import show, show_notes
from .ui.widgets import check_height, check_width, fit_input, fps_input, size_inputs
from .wires import CATEGORY, SOUND, to_latent


def _check_one(image: object = None, video: object = None) -> None:
    if image is not None and video is not None:
        raise MagiError("connect an image or a video to Magi VAE Encode, not both")


def _check_any(image: object = None, video: object = None) -> None:
    if image is None and video is None:
        raise MagiError("connect an image or a video to Magi VAE Encode: nothing to encode")


CHECKS: Checks = {"width": check_width, "height": check_height, "image": _check_one, "fit": _check_any}
"""Said at `fit`: ComfyUI shows nothing at inputs that are not connected."""


class MagiVAEEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiVAEEncode",
            display_name="Magi VAE Encode",
            category=CATEGORY,
            description="Encodes what a video starts with: an image becomes its first frame, a video is continued. A "
            "video may have any length; its end is what matters most.",
            search_aliases=["magi image to video", "magi video continuation", "prefix", "first frame", "start image"],
            inputs=[
                io.Vae.Input("vae", tooltip="From Magi Load VAE."),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="One image is the first frame. A batch of images is a video at the frame rate below.",
                ),
                io.Video.Input(
                    "video",
                    optional=True,
                    tooltip="A video to continue, from Load Video. It is brought to the frame rate below and "
                    "keeps its sound. Connect this or an image, not both.",
                ),
                *size_inputs("the model of this VAE"),
                fit_input(),
                fps_input(
                    "Frame rate a video is brought to. The model was trained at 24; use the sampler's frame rate."
                ),
            ],
            outputs=[io.Latent.Output(display_name="prefix", tooltip="For Magi Chunk Sampler.")],
            hidden=[io.Hidden.unique_id],
        )

    validate_inputs = classmethod(Checked("MagiVAEEncode", CHECKS))

    @classmethod
    def execute(
        cls,
        vae: comfy.sd.VAE,
        width: int,
        height: int,
        fit: str,
        fps: float,
        image: Tensor | None = None,
        video: Input.Video | None = None,
    ) -> io.NodeOutput:
        vae = magi_vae(vae)
        refuse(CHECKS, {"width": width, "height": height, "image": image, "video": video})
        width, height = width or vae.own_size[0], height or vae.own_size[1]
        check_size(width, height)
        node_id = cls.hidden.unique_id

        def tell(text: str) -> None:
            show(node_id, text)

        if video is None and image is not None and len(image) == 1:
            with vae.working(1, width, height) as codec, noting(codec, node_id):
                latents, notes = encode_image(codec, image[0], width=width, height=height, policy=fit)
            show_notes(node_id, notes)
            return io.NodeOutput(to_latent(latents, codec.scale_factor, 0, codec.identity))
        given: GivenVideo
        if video is None:
            given = given_frames(image, width=width, height=height, policy=fit)
        else:
            given = given_video(video, width=width, height=height, fit=fit, fps=fps, tell=tell)
        with vae.working(min(len(given), VIDEO_FRAMES_PER_CHUNK), width, height) as codec, noting(codec, node_id):
            latents, notes = encode_continued(codec, given, counted(tell, "encoding"))
        show_notes(node_id, (*given.notes, *notes))
        prefix = to_latent(latents, codec.scale_factor, missing_frames(len(given)), codec.identity)
        if given.sound is not None:
            prefix[SOUND] = to_audio(given.sound.ending_at(len(given) / exact_fps(fps)))
        return io.NodeOutput(prefix)
