"""The autoencoder is trained in steps that keep what its latents mean."""

from __future__ import annotations

from argparse import Namespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from magi_core.config import LATENT_SCALE
from magi_core.vae.config import VAEConfig
from magi_core.vae.model import ViTVAE
from tools.nano import convolutions
from tools.nano.recipe import TINY_VAE
from tools.nano.render import COLOUR_TURN
from tools.nano.train_vae import Clips, decibels, initialise, load_grown, normalise_latents, reconstruct, train
from tools.nano.vocabulary import CHUNK_FRAMES

CPU = torch.device("cpu")


@pytest.mark.parametrize("form", convolutions.FORMS)
def test_every_form_of_the_convolution_is_the_convolution(form):
    torch.manual_seed(2)
    layer = convolutions.Conv3d(4, 3, 3, padding=1)
    layer.form = form
    x = torch.randn(2, 4, 4, 8, 8)
    assert torch.allclose(layer(x), nn.functional.conv3d(x, layer.weight, layer.bias, padding=1), atol=1e-5)
    patches = convolutions.Conv3d(3, 5, (4, 8, 8), stride=(4, 8, 8))
    video = torch.randn(1, 3, 8, 16, 16)
    expected = nn.functional.conv3d(video, patches.weight, patches.bias, stride=(4, 8, 8))
    assert torch.allclose(patches(video), expected, atol=1e-5)


def test_normalising_latents_leaves_the_autoencoder_as_it_was():
    torch.manual_seed(3)
    vae = ViTVAE(VAEConfig.from_json(TINY_VAE), operations=convolutions.LAYERS)
    initialise(vae)
    clips = Clips(4, 1, CPU)
    video = clips.batch(1, 12)
    before = reconstruct(vae, video)
    with torch.no_grad():
        normalise_latents(vae, clips, 1)
        latents = torch.cat([vae.encode(clips.batch(4, 12)) for _ in range(2)]) * LATENT_SCALE
    assert decibels(reconstruct(vae, video), before) > 60
    assert 0.5 < float(latents.std()) < 1.6


def test_going_on_with_the_decoder_leaves_the_latents(tmp_path):
    torch.manual_seed(3)
    vae = ViTVAE(VAEConfig.from_json(TINY_VAE), operations=convolutions.LAYERS)
    initialise(vae)
    before, file = vae.state_dict(), tmp_path / "vae.safetensors"
    save_file(before, file)
    short = {"minutes": 5, "reserve": 0, "steps": 2, "batch": 1, "clips": 4, "lr": 1e-3, "seed": 3, "save_seconds": 60}
    args = Namespace(
        **short,
        init=file,
        anchor=0.0,
        decoder_only=True,
        depth=2,
        dry_run=True,
        compile=False,
        conv=None,
        log_every=100,
    )
    after = train(args, CPU, tmp_path).state_dict()
    assert any(name.startswith("decoder.blocks.1.") for name in set(after) - set(before))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder"}


def test_a_deeper_autoencoder_begins_as_the_one_it_grew_from():
    torch.manual_seed(3)
    made = [ViTVAE(VAEConfig.from_json(TINY_VAE | {"depth": d}), operations=convolutions.LAYERS) for d in (1, 3)]
    for vae in made:
        initialise(vae)
    load_grown(made[1], made[0].state_dict())
    video = torch.randn(1, 3, 12, 128, 128).clamp(-1, 1)
    assert torch.allclose(*(reconstruct(vae, video) for vae in made), atol=1e-5)
    made[1].decode(made[1].encode(video)).square().mean().backward()
    assert all(trunk.blocks[-1].mlp.fc2.weight.grad.any() for trunk in (made[1].encoder, made[1].decoder))


def test_changes_are_seen_more_often_than_chance_has_it():
    clips = Clips(40, 5, CPU, changing=1.0)
    changes = {tuple(row) for row in clips.changes.tolist()}
    seen = []
    clips.draw = lambda sheet, falling, clip, frame: seen.append((clip, frame))
    clips.batch(64, 12)
    (clip, frame), turns = seen[0], COLOUR_TURN[0] + 1
    for i, first in zip(clip.tolist(), frame[:, 0].tolist(), strict=True):
        assert (i, first // CHUNK_FRAMES) in changes
        assert first % CHUNK_FRAMES <= turns < first % CHUNK_FRAMES + 12
