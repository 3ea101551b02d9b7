"""Frames whose content tells what became of them, for tests of video and picture files."""

from __future__ import annotations

import torch

COLOURS = [
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
    (128, 128, 128),
    (255, 255, 0),
    (0, 255, 255),
]


def flat(colours, height=64, width=96) -> torch.Tensor:
    """One frame of each colour, uint8 [T, H, W, 3]."""
    frames = torch.tensor(colours, dtype=torch.uint8)[:, None, None]
    return frames.expand(-1, height, width, -1).contiguous()


def numbered(stop: int, height=64, width=64, *, first=0) -> torch.Tensor:
    """Frames first to stop, which tell their number by their grey: 4 levels apart."""
    return flat([(4 * n,) * 3 for n in range(first, stop)], height, width)


def numbers(frames: torch.Tensor) -> list[int]:
    return (frames.float().mean(dim=(1, 2, 3)) / 4).round().int().tolist()


def corners(width=96, height=64) -> torch.Tensor:
    """One frame: red, green / blue, white from top left to bottom right."""
    frame = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    half_h, half_w = height // 2, width // 2
    for (rows, columns), colour in zip(
        [(slice(0, half_h), slice(0, half_w)), (slice(0, half_h), slice(half_w, None))]
        + [(slice(half_h, None), slice(0, half_w)), (slice(half_h, None), slice(half_w, None))],
        ["red", "green", "blue", "white"],
        strict=True,
    ):
        frame[:, rows, columns] = torch.tensor(RGB[colour], dtype=torch.uint8)
    return frame


RGB = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def seen_corners(frame: torch.Tensor) -> list[str]:
    """Names of the colours at the four corners, row by row."""
    height, width = frame.shape[:2]
    places = [(8, 8), (8, width - 8), (height - 8, 8), (height - 8, width - 8)]
    names = {name: torch.tensor(colour) for name, colour in RGB.items()}
    return [min(names, key=lambda n: (frame[place].int() - names[n]).abs().sum().item()) for place in places]


# Display matrices (a, b, c, d) with x' = ax + cy, y' = bx + dy, y pointing down, and what is then seen.
