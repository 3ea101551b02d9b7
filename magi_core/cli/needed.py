"""Which packages are needed, in which releases. requirements.txt says the same to pip; a test holds them together."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Needed:
    """name: as pip knows it; module: as Python does. floor: the oldest release that works. excluded: releases that do
    not, with what is wrong."""

    name: str
    module: str
    floor: str
    excluded: tuple[tuple[str, str], ...] = ()

    def fault(self, version: str) -> str:
        """What is wrong with an installed release, or ""."""
        if numbers(version) < numbers(self.floor):
            return f"{self.floor} or newer is needed"
        return next((f"it {why}" for release, why in self.excluded if numbers(version) == numbers(release)), "")

    @property
    def asked(self) -> str:
        """What to ask pip for: "av>=12.3,!=14.0.0"."""
        return ",".join([f"{self.name}>={self.floor}", *(f"!={release}" for release, _ in self.excluded)])


NEEDED = (
    Needed("torch", "torch", "2.5"),
    Needed("safetensors", "safetensors", "0.4.3"),
    Needed("einops", "einops", "0.7"),
    Needed("transformers", "transformers", "4.45"),
    Needed("tokenizers", "tokenizers", "0.20"),
    Needed("sentencepiece", "sentencepiece", "0.2"),
    Needed("av", "av", "12.3", (("14.0.0", "cannot write videos"),)),
    Needed("numpy", "numpy", "1.24"),
    Needed("pillow", "PIL", "10.1"),
    Needed("tqdm", "tqdm", "4.64"),
    Needed("ftfy", "ftfy", "6.1"),
    Needed("beautifulsoup4", "bs4", "4.11"),
)


def numbers(version: str) -> tuple[int, ...]:
    """ "2.13.0+cpu" -> (2, 13), "12.0rc1" -> (12,): what is compared. Zeros at the end do not count."""
    found = re.match(r"\d+(\.\d+)*", version)
    parts = [int(part) for part in found[0].split(".")] if found else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
