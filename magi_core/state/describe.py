"""What is in a take, in words."""

from __future__ import annotations

from magi_core.errors import echo
from magi_core.state.state import SamplerState
from magi_core.state.story import story_of
from magi_core.video.rate import exact_fps


def describe(state: SamplerState, name: str) -> list[str]:
    """A take in lines of text; the first begins with `name`."""
    fps, settings = exact_fps(state.fps), state.settings
    lines = [
        f"{name}: {counted(state.finished)}, {counted(state.frames, 'frame')}, {float(state.frames / fps):.2f} s at "
        f"{float(fps):.6g} fps, {state.width}x{state.height}, seed {state.seed}",
        f"model: {_name(state.model)}, weights {_name(state.fingerprint)}, VAE {_name(state.vae)}",
        f"settings: {settings.steps} steps, window {settings.window}, KV ranges "
        f"{', '.join(map(str, settings.kv_ranges)) or 'all'}, guidance text {_scales(settings.guidance.text)} and "
        f"previous {_scales(settings.guidance.previous)} from noisy to clean",
    ]
    if state.prefix is not None:
        sound = "" if state.sound is None else ", with its sound"
        lines.append(f"given: {counted(state.prefix_frames, 'frame')} of an image or a video{sound}")
    elif state.sound is not None:
        lines.append("with the sound of the video that it is made from")
    lines.append("chunks:" if state.chunks or state.pending else "no chunks yet")
    in_flight = len(state.chunks)
    for first, last, chunk in story_of(state).lines:
        place = f"{state.first_chunk + first}" + ("" if first == last else f"-{state.first_chunk + last}")
        tags = f" {chunk.tags}" if chunk.tags else ""
        flying = f" (in flight from chunk {state.finished} on)" if last >= in_flight else ""
        lines.append(
            f"  {place}{tags}: {chunk.prompt or '(no prompt)'} · seed {state.seed + chunk.seed_offset}{flying}"
        )
    lines += rest_in_words(state)
    lines += [f"note: {note}" for note in state.notes]
    return lines


def captions(state: SamplerState) -> list[str]:
    """What a contact sheet says of every finished chunk."""
    return ["(given video)"] * state.first_chunk + [record.prompt for record in state.chunks]


def rest_in_words(state: SamplerState) -> list[str]:
    """A line on what the run still had to do that the take was broken off at; none where it was not."""
    rest, finished = state.unfinished, state.finished
    if rest is None:
        return []
    come = rest.frontier.next_chunk
    last = come + len(rest.to_come) - 1
    parts = [f"{_chunks(finished, come - 1)} in flight"] if come > finished else []
    parts += [f"{_chunks(come, last)} to come"] if rest.to_come else []
    return [f"broken off: {', '.join(parts)}; asked for the same again, it goes on as if it had not stopped"]


def left_in_flight(take: SamplerState) -> tuple[str, ...]:
    """A note where `take`, which something is made of, has chunks that are not finished."""
    if not take.pending:
        return ()
    kept = f"{counted(len(take.pending))} of the take, left in flight, " + ("is" if len(take.pending) == 1 else "are")
    return (f"{kept} not in what is made of it: to have that, finish the take first",)


def _chunks(first: int, last: int) -> str:
    return f"chunk {first}" if first == last else f"chunks {first}-{last}"


def _name(name: str) -> str:
    return echo(name, quoted=False) or "unknown"


def _scales(scales: tuple[float, ...]) -> str:
    """The scales in order, repeats left out."""
    changes = [scale for i, scale in enumerate(scales) if i == 0 or scale != scales[i - 1]]
    return ", ".join(f"{scale:g}" for scale in changes)


def counted(count: int, what: str = "chunk") -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
