"""`python -m magi_core info`: what is in a saved take."""

from __future__ import annotations

import argparse
from pathlib import Path

from magi_core.cli.exit_codes import OK
from magi_core.cli.render_plan import checked_model
from magi_core.cli.say import say
from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError
from magi_core.loading import locate
from magi_core.state import SamplerState, load_state, other_vae
from magi_core.state.decode import TakeDecoder
from magi_core.state.describe import captions, describe
from magi_core.state.save import parts_folders
from magi_core.video.contact_sheet import ContactSheet
from magi_core.video.output_path import check_output
from magi_core.weights import pick_device


def info(options: argparse.Namespace) -> int:
    """Print what is in the take; with --sheet, draw it as well."""
    path = Path(options.take)
    if options.sheet is not None:
        check_output(Path(options.sheet), ".png", "contact sheets", make_folder=True)
        checked_model(options.model)
    state = load_state(path)
    for line in describe(state, str(path)):
        say(line)
    left = [folder.name for folder in parts_folders(path) if folder.exists()]
    if left:
        say(f"note: read from {left[0]}, which a run that was broken off left; extending makes one file of it")
    if options.sheet is not None:
        _draw(options, state)
    return OK


def _draw(options: argparse.Namespace, state: SamplerState) -> None:
    """The contact sheet. Only the VAE is loaded for it."""
    from magi_core.vae import load_vae

    if not state.chunks:
        raise MagiError(f"{options.take} has no finished chunks to show: extend it first")
    files = locate(options.model)
    if files.vae is None:
        raise MagiError(f"{options.model} has no VAE to show frames with: get it, or choose another --model")
    vae = load_vae(files.vae, device=pick_device(options.device))
    if note := other_vae(state, vae.identity):
        say(f"note: {note}")
    sheet = ContactSheet(VIDEO_FRAMES_PER_CHUNK, missing=state.filled)
    for block in TakeDecoder(vae).decode(state):
        sheet.add(block)
    title = (
        f"{Path(options.take).name} · {state.width}x{state.height} · seed {state.seed} · {state.settings.steps} steps"
    )
    sheet.save(options.sheet, captions(state), fps=state.fps, title=title)
    say(f"wrote {options.sheet}")
    if sheet.note:
        say(f"note: {sheet.note}")
