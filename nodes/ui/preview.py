"""What a run shows while it goes on: pictures of what is coming, finished chunks as short clips."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management as management
import folder_paths
from PIL import Image

from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import printable
from magi_core.state.decode import TakeDecoder
from magi_core.vae.latent_rgb import CHART, FRAMES, LatentRGB, latent_rgb
from magi_core.video import write_video

from ..desk.events import Clip, NodeRun
from ..host.vae import PlacedVAE, magi_vae

if TYPE_CHECKING:
    from magi_core.sampling.events import Stepped
    from magi_core.state import SamplerState

EVERY = 4  # forwards from one picture to the next
CLIP_FAILURES = (OSError, RuntimeError, ValueError)  # codecs, full disks, no memory on the device, MagiError


class Preview:
    """Pictures and clips of one run on one node; without a VAE there are none."""

    def __init__(self, node_id: str | None, vae: PlacedVAE | None, fit: LatentRGB | None) -> None:
        self.node_id, self.vae, self.fit = node_id, vae, fit
        self._run = NodeRun(node_id)
        self._computed = False

    @classmethod
    def on(cls, node_id: str | None, vae: Any, state: SamplerState) -> Preview:
        """For a run from `state` on. A VAE that does not fit is refused here, before any work."""
        if vae is None or node_id is None:
            return cls(node_id, None, None)
        placed = magi_vae(vae)
        placed.codec.check_channels(state.channels)
        with placed.working(FRAMES, CHART[1], CHART[0]) as codec:
            return cls(node_id, placed, latent_rgb(codec))

    def still(self, event: Stepped) -> Image.Image | None:
        """The middle of the oldest chunk in flight, as it is expected to become."""
        self._computed = True
        if self.fit is None or event.step % EVERY:
            return None
        estimate = event.in_flight[0].clean_estimate()
        return Image.fromarray(self.fit(estimate[:, estimate.shape[1] // 2]).numpy())

    def finished(self, state: SamplerState) -> None:
        """Show the newest finished chunk as a clip, if it was computed just now and the VAE finds room."""
        if self.vae is None or self.node_id is None or not self._computed or not state.chunks:
            return
        self._computed = False
        index = state.finished - 1
        if not _has_room(self.vae, state.latent_shape):
            return
        name = f"magi_{self._run.id}_{index:05}.mp4"
        try:
            with self.vae.working(VIDEO_FRAMES_PER_CHUNK, state.width, state.height) as codec:
                blocks = TakeDecoder(codec).decode(state, start=index)
                write_video(Path(folder_paths.get_temp_directory()) / name, blocks, state.fps)
        except CLIP_FAILURES as error:  # a run is worth more than its clips
            logging.warning("MAGI: no clips of finished chunks: %s", printable(error))
            self.vae = None
            return
        self._run.tell(Clip(index, state.chunks[-1].key, name))


def _has_room(vae: PlacedVAE, shape: tuple[int, ...]) -> bool:
    """Whether the VAE can work beside a transformer that must stay where it is: a run is going on."""
    if vae.device.type == "cpu":
        return True
    need = vae.model_size() + vae.memory_used_decode(shape, vae.vae_dtype)
    return management.get_free_memory(vae.device) > 1.2 * need + management.minimum_inference_memory()
