"""Draw the image and the video that the example workflows start from: `python -m tools.example_inputs`.

Shapes and colours are those of nano's world (see `tools/nano/vocabulary.py`), so that the bundled model knows them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from magi_core.video import write_video

FOLDER = Path(__file__).parents[1] / "workflows" / "assets"
SIZE, FINE = 128, 8  # pixels along a side, and how much finer it is drawn
RED, BLUE = (220, 40, 40), (45, 80, 230)
GRAY, WHITE = (130, 130, 135), (240, 240, 240)
RADIUS, HALF_SIDE = 29.0, 25.7  # big
VIDEO_FRAMES, SPEED = 32, 0.9  # 32 frames are eight latent frames: one whole chunk and a third of the next


def draw(
    shape: str, x: float, y: float, half: float, colour: tuple[int, int, int], ground: tuple[int, int, int]
) -> Tensor:
    """One frame [128, 128, 3] uint8, with smooth edges."""
    fine = Image.new("RGB", (SIZE * FINE, SIZE * FINE), ground)
    box = [FINE * (x - half), FINE * (y - half), FINE * (x + half), FINE * (y + half)]
    pen = ImageDraw.Draw(fine)
    (pen.ellipse if shape == "circle" else pen.rectangle)(box, fill=colour)
    return torch.from_numpy(np.array(fine.resize((SIZE, SIZE), Image.Resampling.BOX)))


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    image = draw("circle", 46, 64, RADIUS, RED, GRAY)
    Image.fromarray(image.numpy()).save(FOLDER / "magi_example_image.png", optimize=True)
    frames = [draw("square", 32 + SPEED * i, 64, HALF_SIDE, BLUE, WHITE) for i in range(VIDEO_FRAMES)]
    write_video(FOLDER / "magi_example_video.mp4", [torch.stack(frames)], fps=24)


if __name__ == "__main__":
    main()
