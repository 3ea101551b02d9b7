"""What `tools.nano.install` leaves in the box: a base and a distilled model that share all but the transformer."""

from __future__ import annotations

import json

import pytest

import magi_core
from magi_core.errors import MagiError
from magi_core.loading import ASSETS, BUNDLED, locate
from magi_core.sampling.timesteps import step_factor
from tools.nano.distill_targets import COARSE_FACTOR, FINE_FACTOR
from tools.nano.install import SAMPLING, card, install, known_words
from tools.nano.unpack import unpack

SIZE_LIMIT = 40e6  # bytes of all files together


def test_both_variants_are_offered_by_name():
    assert list(BUNDLED) == ["nano", "nano-distill"]
    base, distilled = locate("nano"), locate("nano-distill")
    assert (base.variant, distilled.variant) == ("base", "distill")
    assert base.dit != distilled.dit
    assert (base.vae, base.t5, base.special_tokens) == (distilled.vae, distilled.t5, distilled.special_tokens)
    assert locate("nano", "distill") == distilled and locate("nano-distill", "distill") == distilled


def test_a_name_and_a_variant_that_disagree_are_refused():
    with pytest.raises(MagiError, match="nano-distill is a distill model"):
        locate("nano-distill", "base")


@pytest.mark.parametrize("name, variant", [("nano", "base"), ("nano-distill", "distill")])
def test_an_engine_comes_with_its_variants_settings(name, variant):
    engine = magi_core.load(name, device="cpu", encoders=False)
    assert engine.dit.config.distill == (variant == "distill")
    assert engine.settings.steps == SAMPLING[variant]["steps"]
    learned = {"base": FINE_FACTOR, "distill": COARSE_FACTOR}[variant]
    assert step_factor(engine.settings.steps, 1) == learned
    assert magi_core.load("nano", variant=variant, device="cpu", encoders=False).settings == engine.settings


def test_the_card_in_the_box_is_the_one_install_writes():
    words = known_words(ASSETS / "nano" / "t5" / "tokenizer.json")
    assert json.loads((ASSETS / "nano" / "nano.json").read_text(encoding="utf-8")) == card(words)


def test_a_card_offers_the_camera_and_the_weather_to_those_who_know_the_words():
    assert "camera" not in card(["star"])["vocabulary"]
    assert card(["camera", "rain"])["vocabulary"]["weather"] == ["clear", "rain", "snow"]


def test_all_files_together_are_small():
    assert sum(file.stat().st_size for file in (ASSETS / "nano").rglob("*") if file.is_file()) <= SIZE_LIMIT


def test_what_is_installed_can_be_trained_on_from_and_installed_again(tmp_path):
    unpack(ASSETS / "nano", tmp_path / "runs")
    install(*(tmp_path / "runs" / name for name in ("vae", "base", "distill")), tmp_path / "nano")
    for file in (path for path in (tmp_path / "nano").rglob("*") if path.is_file()):
        assert file.read_bytes() == (ASSETS / "nano" / file.relative_to(tmp_path / "nano")).read_bytes(), file
