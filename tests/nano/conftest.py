"""Clips of noise in the shapes of drawn ones, and a training batch of them."""

from __future__ import annotations

import pytest
import torch

from tools.nano.batches import Batch, sample_batch
from tools.nano.clips import Corpus, Films, make_corpus
from tools.nano.scenes import sample_scenes
from tools.nano.text_model import make_tokenizer


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    torch.manual_seed(0)
    scenes = sample_scenes(80, 5)
    latents, disguises, lingering, slipped = torch.randn(4, 80, 6, 16, 6, 4, 4)
    reshot = scenes.new_shot.any(axis=1)
    films = Films(latents, torch.randn(80, 16, 4, 4), disguises[reshot], lingering[reshot], latents, slipped)
    return make_corpus(scenes, films, make_tokenizer(), 5)


@pytest.fixture(scope="module")
def batch(corpus: Corpus) -> Batch:
    return sample_batch(corpus, 96, torch.Generator().manual_seed(3))
