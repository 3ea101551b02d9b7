"""`magi_core.load` puts together what it is asked for."""

from __future__ import annotations

from magi_core.loading import load, locate


def test_encoders_can_be_left_out_and_files_be_given() -> None:
    engine = load(locate("nano"), device="cpu", encoders=False)
    assert engine.vae is None and engine.text_encoder is None
    assert engine.special_tokens is not None
    whole = load("nano", device="cpu")
    assert engine.settings == whole.settings and engine.fingerprint == whole.fingerprint
    assert whole.vae is not None and whole.text_encoder is not None
