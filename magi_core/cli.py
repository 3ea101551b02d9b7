"""The command line: `python -m magi_core render | models | doctor`.

Exit codes: 0 done, 1 doctor found something missing, 2 bad input (one line on stderr says what), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from magi_core.cli_settings import AVOID_TOKENS, PROMPT_TOKENS
from magi_core.errors import MagiError

OK, INCOMPLETE, BAD_INPUT, STOPPED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise MagiError(f"{message} ({self.prog} --help lists what is possible)")


def main(arguments: Sequence[str] | None = None, *, load: Callable[..., Any] | None = None) -> int:
    """Run one command; returns its exit code. load: in place of `magi_core.load`, for tests and embedding."""
    try:
        chosen = _parse(arguments)
        if chosen.command == "render":
            from magi_core.cli_render import render

            return render(chosen, load=load)
        if chosen.command == "models":
            from magi_core.cli_models import models

            return models(chosen.folders)
        from magi_core.cli_doctor import doctor

        return doctor()
    except MagiError as error:
        print(f"magi: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("magi: stopped; nothing was written", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # the reader of our output went away, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    top = _Parser(prog="python -m magi_core", description="Direct MAGI-1, the video model, chunk by chunk.")
    commands = top.add_subparsers(dest="command", required=True, metavar="render | models | doctor")
    _render_options(
        commands.add_parser(
            "render",
            help="prompts to a video",
            description="Render prompts, or a storyboard, to an mp4. A chunk is 24 frames: one second at 24 fps.",
        )
    )
    found = commands.add_parser("models", help="the models that were found, and what is missing")
    found.add_argument("folders", nargs="*", metavar="folder", help="further folders to look in")
    commands.add_parser("doctor", help="whether everything needed is installed")
    return top


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """As argparse does, but prompts may also stand between and after options."""
    chosen, rest = parser().parse_known_args(arguments)
    unknown = [word for word in rest if word.startswith("-")] or (rest if chosen.command != "render" else [])
    if unknown:
        raise MagiError(
            f"unknown: {' '.join(unknown)} (python -m magi_core {chosen.command} --help lists what is possible)"
        )
    if rest:
        chosen.prompts += rest
    return chosen


def _render_options(render: argparse.ArgumentParser) -> None:
    what = render.add_argument_group("what happens")
    what.add_argument("prompts", nargs="*", metavar="prompt", help="one per part of the video; parts are equally long")
    what.add_argument("--storyboard", metavar="FILE", help="a text or JSON file that says what happens in each chunk")
    length = what.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds", metavar="S", help="length; after --video: of the new part. One chunk per prompt if left out"
    )
    length.add_argument("--chunks", metavar="N", type=_whole, help="length in chunks, in place of --seconds")
    what.add_argument("--image", metavar="FILE", help="the picture to start from")
    what.add_argument("--video", metavar="FILE", help="the video to continue")
    what.add_argument(
        "--fit",
        choices=("crop", "pad", "stretch"),
        default="crop",
        help="how --image or --video is brought to size (default: crop)",
    )

    model = render.add_argument_group("model")
    model.add_argument(
        "--model",
        default="nano",
        metavar="NAME|FOLDER",
        help="nano (default, in the box) or a folder with MAGI-1 weights",
    )
    model.add_argument(
        "--variant",
        choices=("auto", "base", "distill"),
        default="auto",
        help="what the weights are (default: auto, from the folder's name)",
    )
    model.add_argument("--device", metavar="NAME", default="auto", help="cpu, cuda, cuda:1, mps or auto (default)")
    model.add_argument("--dtype", metavar="NAME", default="auto", help="number format: bf16, fp32 or auto (default)")
    model.add_argument(
        "--attention",
        choices=("auto", "sdpa", "flash_attn"),
        default="auto",
        help="attention backend (default: auto, the fastest)",
    )

    picture = render.add_argument_group("picture and output")
    picture.add_argument("--width", metavar="W", type=_whole, help="pixels, a multiple of 16 (nano: 128, others: 720)")
    picture.add_argument("--height", metavar="H", type=_whole, help="as --width")
    picture.add_argument(
        "--fps", metavar="F", default="24", help="frames per second of the video (default: 24, as in training)"
    )
    picture.add_argument("--seed", metavar="N", type=_whole, default=0, help="another seed, another take (default: 0)")
    picture.add_argument(
        "--out", metavar="FILE.mp4", help="replaced if it exists (default: the next free output/magi_0001.mp4)"
    )
    picture.add_argument(
        "--contact-sheet", metavar="FILE.png", help="one row of pictures per chunk, labelled with its prompt"
    )

    tokens = render.add_argument_group("special tokens (need special_tokens.npz beside the model)")
    for switch, (_, text) in (PROMPT_TOKENS | AVOID_TOKENS).items():
        tokens.add_argument(f"--{switch}", action="store_true", help=text)
    tokens.add_argument("--no-hq", action="store_true", help="do not ask for the look of the best training footage")
    tokens.add_argument(
        "--no-duration-tokens", action="store_true", help="do not tell the model how many chunks are to come"
    )
    tokens.add_argument("--no-special-tokens", action="store_true", help="both of these, for models without the file")

    # No defaults here: what is not given is left to the model's own settings.
    sampling = render.add_argument_group("sampling (left out: the model's own values)")
    sampling.add_argument(
        "--steps", metavar="N", type=_whole, help="denoising steps per chunk, a multiple of the window"
    )
    sampling.add_argument("--text-guidance", metavar="X", type=float, help="how strongly prompts are followed")
    sampling.add_argument(
        "--previous-guidance", metavar="X", type=float, help="how strongly earlier chunks are followed"
    )
    sampling.add_argument(
        "--text-guidance-late", metavar="X", type=float, help="text guidance once a chunk is 30%% denoised"
    )
    sampling.add_argument(
        "--previous-guidance-late", metavar="X", type=float, help="previous guidance once a chunk is 30%% denoised"
    )
    sampling.add_argument(
        "--nearly-clean-blend",
        metavar="X",
        type=float,
        help="distilled models: weight of the past on nearly clean chunks",
    )
    sampling.add_argument("--window", metavar="N", type=_whole, help="chunks denoised at the same time")
    sampling.add_argument(
        "--kv-ranges", metavar="N,N,...", help="chunks looked at in each part of the denoising; 'all' = every one"
    )
    sampling.add_argument(
        "--clean-kv-range",
        metavar="N",
        type=_whole,
        help="chunks a finished chunk looks at; -1 = the last of --kv-ranges",
    )
    sampling.add_argument("--shortcut", choices=("8,16,16", "16,16,8"), help="order of step sizes with --steps 12")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number: {text!r}") from None
