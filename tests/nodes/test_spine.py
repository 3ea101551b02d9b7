"""The nodes do what the engine does, and tell the user what they see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from magi_core.config import Guidance
from magi_core.errors import MagiError
from magi_core.sampling.events import Stepped
from magi_core.text import PromptEmbedding
from tools.small_models import WordEncoder

SMALL = {"width": 32, "height": 32, "steps": 4}


@pytest.fixture
def sample(run: Any, engine: Any, prompt: Any) -> Any:
    def first_chunks(text: str = "a red ball", **given: Any) -> Any:
        return run("MagiChunkSampler", model=engine, conditioning=prompt(text), **{**SMALL, **given})

    return first_chunks


def test_sampler_and_extend_give_what_the_engine_gives(run, engine, prompt, sample) -> None:
    made = sample(chunks=2, seed=5)
    made = run("MagiExtend", model=engine, state=made, conditioning=prompt("it turns blue"), chunks=1)

    plain = engine.begin(width=32, height=32, seed=5)
    plain = engine.extend(plain, prompt("a red ball").embedding, 2)
    plain = engine.extend(plain, prompt("it turns blue").embedding)
    assert torch.equal(made.latents, plain.latents)
    assert [chunk.prompt for chunk in made.state.chunks] == ["a red ball", "a red ball", "it turns blue"]


def test_extending_leaves_the_state_that_came_in_alone(run, engine, prompt, sample) -> None:
    made = sample()
    before = made.latents.clone()
    left, right = (
        run("MagiExtend", model=engine, state=made, conditioning=prompt(text)) for text in ("goes left", "goes right")
    )
    assert torch.equal(made.latents, before) and len(made.state.chunks) == 1
    assert torch.equal(left.latents[:, :, :6], right.latents[:, :, :6])
    assert not torch.equal(left.latents, right.latents)


def test_widgets_become_sampling_settings(sample) -> None:
    settings = sample(
        steps=6,
        window=2,
        kv_ranges="3 2",
        text_guidance=6.0,
        previous_guidance=1.2,
        text_guidance_late=1.0,
        previous_guidance_late=1.1,
        avoid_logos=True,
        duration_tokens=False,
    ).state.settings
    assert (settings.steps, settings.window, settings.kv_ranges) == (6, 2, (3, 2))
    assert settings.guidance == Guidance.simple(6.0, 1.2, 1.0, 1.1)
    assert settings.negative_tokens == ("LOGO",)
    assert not settings.duration_tokens


def test_guidance_is_the_models_own_unless_set(sample, engine, run, prompt) -> None:
    own = Guidance.simple(6.0, 1.4, 1.0, 1.1)
    model = engine.with_settings(guidance=own)

    def guidance(**widgets: float) -> Guidance:
        made = run("MagiChunkSampler", model=model, conditioning=prompt("a ball"), **SMALL, **widgets)
        return made.state.settings.guidance

    assert guidance() is own
    assert guidance(text_guidance=9.0) == Guidance.simple(9.0, 1.4, 1.0, 1.1)
    assert guidance(text_guidance_late=0.0) == Guidance.simple(6.0, 1.4, 0.0, 1.1)


def test_the_blend_is_the_models_own_unless_set(engine, run, prompt) -> None:
    model = engine.with_settings(nearly_clean_blend=0.9)

    def blend(**widgets: float) -> float:
        made = run("MagiChunkSampler", model=model, conditioning=prompt("a ball"), **SMALL, **widgets)
        return made.state.settings.nearly_clean_blend

    assert (blend(), blend(nearly_clean_blend=0.0)) == (0.9, 0.0)


def test_zero_steps_are_the_models_own(sample, engine) -> None:
    assert sample(steps=0).state.settings.steps == engine.settings.steps


def test_switches_of_a_prompt_are_its_special_tokens(prompt) -> None:
    assert prompt("a ball").embedding.special_tokens == ("HQ",)
    assert prompt("a ball", high_quality=False, look_3d=True).embedding.special_tokens == ("THREE_D_MODEL",)


def test_what_was_done_to_a_prompt_is_said_on_the_node(run) -> None:
    import server

    class Cutting(WordEncoder):
        def encode(self, prompt: str) -> PromptEmbedding:
            return replace(super().encode(prompt), notes=("prompt cut to 800 tokens",))

    server.PromptServer.instance.texts.clear()
    run("MagiTextEncode", text_encoder=Cutting(), prompt="word " * 900)
    assert server.PromptServer.instance.texts == [("1", "prompt cut to 800 tokens")]


def test_decode_gives_every_frame_and_a_video_at_the_states_rate(run, vae, sample) -> None:
    images, video = run("MagiVAEDecode", vae=vae, state=sample(chunks=2, fps=12.0))
    assert images.shape == (48, 32, 32, 3)
    assert images.min() >= 0 and images.max() <= 1
    parts = video.get_components()
    assert parts.images is images and parts.frame_rate == 12


def test_an_image_becomes_the_first_frame(run, vae, sample) -> None:
    prefix = run("MagiVAEEncode", vae=vae, image=torch.rand(1, 50, 70, 3), width=32, height=48)
    assert prefix["samples"].shape == (1, 16, 1, 6, 4)
    made = sample(prefix=prefix)
    assert (made.state.width, made.state.height) == (32, 48)
    torch.testing.assert_close(made.latents[:, :, :1] / vae.codec.scale_factor, prefix["samples"])


def test_a_video_is_brought_to_the_models_rate_and_continued(run, vae, sample) -> None:
    from comfy_api.latest import InputImpl, Types

    parts = Types.VideoComponents(images=torch.rand(16, 32, 32, 3), frame_rate=12)
    prefix = run("MagiVAEEncode", vae=vae, video=InputImpl.VideoFromComponents(parts), width=32, height=32)
    assert prefix["samples"].shape[2] == 8  # 16 frames at 12 fps are 32 at 24
    made = sample(prefix=prefix)
    assert made.state.prefix_frames == 32 and made.state.frames == 48


def test_a_batch_of_images_is_a_video(run, vae) -> None:
    assert run("MagiVAEEncode", vae=vae, image=torch.rand(12, 32, 32, 3), width=32, height=32)["samples"].shape[2] == 3


@pytest.mark.parametrize(
    ("widgets", "message"),
    [
        ({"width": 725}, "width must be a multiple of 16: 725 -> use 720 or 736"),
        ({"steps": 6}, "steps must be a multiple of the window"),
        ({"kv_ranges": "five"}, "kv_ranges must be whole numbers"),
    ],
)
def test_widgets_that_cannot_work_are_refused_in_words(sample, widgets, message) -> None:
    with pytest.raises(MagiError, match=message):
        sample(**widgets)


def test_encode_wants_exactly_one_source(run, vae) -> None:
    with pytest.raises(MagiError, match="connect an image or a video"):
        run("MagiVAEEncode", vae=vae, width=32, height=32)


def test_progress_counts_to_the_end_and_names_the_chunk(sample) -> None:
    import comfy.utils
    import server

    comfy.utils.updates.clear()
    server.PromptServer.instance.texts.clear()
    sample(chunks=2, seed=2_000)  # not remembered from another test
    done = [value for value, _ in comfy.utils.updates]
    assert done == list(range(1, done[-1] + 1)) and comfy.utils.updates[-1] == (done[-1], done[-1])
    texts = [text for _, text in server.PromptServer.instance.texts]
    assert texts[0].splitlines()[0] == texts[-1].splitlines()[0] == "22 chunk-forwards"
    assert texts[1].startswith("chunk 1 of 2, step 1 of") and texts[-2].startswith("chunk 2 of 2")


def test_what_a_step_has_shown_stays_under_its_words(part, said) -> None:
    progress = part("ui.progress").StepProgress("7", below="22 chunk-forwards")
    progress(Stepped((), 1, 8, 0, 2))
    progress(Stepped((), 2, 8, 0, 2, notes=("it ends elsewhere",)))
    progress(Stepped((), 3, 8, 0, 2))
    assert [text.split(" ·\n") for text in said()] == [
        ["chunk 1 of 2, step 1 of 8", "22 chunk-forwards"],
        ["chunk 1 of 2, step 2 of 8", "it ends elsewhere", "22 chunk-forwards"],
        ["chunk 1 of 2, step 3 of 8", "it ends elsewhere", "22 chunk-forwards"],
    ]


def test_an_interrupt_stops_before_the_next_forward(sample, engine, monkeypatch) -> None:
    import comfy.model_management as management

    forwards = 0

    def count(module, inputs, output) -> None:
        nonlocal forwards
        forwards += 1
        management.interrupted = forwards == 3

    hook = engine.dit.register_forward_hook(count)
    try:
        with pytest.raises(management.InterruptProcessingException):
            sample(chunks=3)
    finally:
        hook.remove()
    assert forwards == 3
    assert not management.processing_interrupted()


def test_without_special_tokens_the_message_names_what_to_switch_off(run: Any, engine: Any, prompt: Any) -> None:
    """And what it names is enough."""
    model, small = engine.copy(special_tokens=None), {"width": 32, "height": 32, "steps": 4, "seed": 31}
    plain = prompt("red", high_quality=False)
    for said, widgets in ((prompt("red"), {"duration_tokens": False}), (plain, {})):
        with pytest.raises(
            MagiError, match="high_quality in Magi Text Encode .* duration_tokens in Magi Chunk Sampler"
        ):
            run("MagiChunkSampler", model=model, conditioning=said, **small | widgets)
    assert run("MagiChunkSampler", model=model, conditioning=plain, duration_tokens=False, **small).state.finished == 1
