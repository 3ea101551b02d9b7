"""A take says of which VAE its latents are; what another one would make of them is told before any work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from magi_core.state import load_state, other_vae, resized
from magi_core.vae import VAE
from tools.small_models import tiny_engine, tiny_vae

SIZE = {"width": 32, "height": 32}


def with_vae(identity: str):
    """An engine of the same transformer whose VAE is called so."""
    engine, vae = tiny_engine(steps=4), tiny_vae()
    return engine.copy(vae=VAE(vae.model, identity=identity))


def take_of(identity: str):
    engine = with_vae(identity)
    return engine.extend(engine.begin(**SIZE, seed=5), ["red", "blue"])


def test_what_an_engine_makes_is_of_its_vae_and_stays_so(tmp_path) -> None:
    take = take_of("one")
    take.save(tmp_path / "take.magi")
    loaded = load_state(tmp_path / "take.magi")
    again = with_vae("one").begin_again(loaded)
    assert {take.vae, loaded.vae, loaded.at(1).vae, resized(loaded, 48, 48).vae, again.vae} == {"one"}


def test_an_engine_without_a_vae_knows_the_one_of_its_folder() -> None:
    engine = tiny_engine(steps=4).copy(vae=None, own_vae="one")
    assert engine.begin(**SIZE).vae == "one"
    assert engine.copy(own_vae="").begin_again(take_of("two")).vae == "two"


@pytest.mark.parametrize(("take", "here"), [("one", "one"), ("", "one"), ("one", "")])
def test_the_same_vae_or_an_unknown_one_is_no_matter(take, here) -> None:
    assert other_vae(take_of(take), here) == ""


def test_a_second_pass_with_another_vae_says_so_in_its_plan_once() -> None:
    engine, take = with_vae("two"), take_of("one")
    plan = engine.plan(engine.begin_again(take), ["a tree"] * 2, source=take)
    assert [note for note in plan.notes if "another VAE (one) than the one here (two)" in note] == list(plan.notes)
    *_, made = engine.run(plan)
    assert made.vae == "two"
    retouch = engine.retouch(take, ["a tree"], 0)
    assert len([note for note in retouch.notes if "another VAE" in note]) == 1


def test_of_one_vae_another_model_finishes_without_a_word() -> None:
    engine, take = tiny_engine(distill=True), replace(take_of("one"), model="base, 40 layers of 3072")
    notes = (
        engine.copy(vae=VAE(tiny_vae().model, identity="one")).plan(engine.begin(**SIZE), ["a"] * 2, source=take).notes
    )
    assert not any("VAE" in note for note in notes)
    unknown = engine.plan(engine.begin(**SIZE), ["a"] * 2, source=take).notes
    assert any("both must belong to the same VAE" in note for note in unknown)


def test_going_on_with_another_vae_is_told_and_a_take_that_names_none_gets_one() -> None:
    engine = with_vae("two")
    plan = engine.plan(take_of("one"), "red")
    assert any("another VAE (one)" in note for note in plan.notes) and plan.begun.vae == "one"
    unnamed = engine.plan(take_of(""), "red")
    assert unnamed.begun.vae == "two" and not any("VAE" in note for note in unnamed.notes)
