"""The command line: `python -m magi_core render | extend | restyle | retouch | finish | info | models | doctor`.

Exit codes: 0 done, 1 doctor found something missing, 2 bad input or no room for it (one line on stderr says what), 130
stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from magi_core.cli.exit_codes import BAD_INPUT, INCOMPLETE, STOPPED
from magi_core.cli.options import extend_options, info_options, render_options, second_pass_options
from magi_core.cli.say import say
from magi_core.errors import ECHO_LIMIT, MagiError, echo, is_out_of_memory

SECOND_PASSES = {
    "restyle": "a take or a video with other words, its motion kept",
    "retouch": "some chunks of a take made anew, the others kept",
    "finish": "a take made by one model remade by another with the same VAE",
}

NO_ROOM = (
    "there is not enough memory for this: close what else uses it, make --width and --height smaller, or lower "
    "--window (chunks in the works at a time)"
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if len(message) > 2 * ECHO_LIMIT:
            message = echo(message, quoted=False)
        raise MagiError(f"{message} ({self.prog} --help lists what is possible)")


def main(arguments: Sequence[str] | None = None, *, load: Callable[..., Any] | None = None) -> int:
    """Run one command; returns its exit code. load: in place of `magi_core.load`, for tests and embedding."""
    try:
        return _run(arguments, load)
    except MagiError as error:
        say(f"magi: {' '.join(str(error).split())}", error=True)
        return BAD_INPUT
    except KeyboardInterrupt:
        say("magi: stopped", error=True)
        return STOPPED
    except BrokenPipeError:  # the reader of our output went away, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INCOMPLETE
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        say(f"magi: {NO_ROOM}", error=True)
        return BAD_INPUT


def _run(arguments: Sequence[str] | None, load: Callable[..., Any] | None) -> int:
    chosen = _parse(arguments)
    if chosen.command == "render":
        from magi_core.cli.render import render

        return render(chosen, load=load)
    if chosen.command == "extend":
        from magi_core.cli.extend import extend

        return extend(chosen, load=load)
    if chosen.command in SECOND_PASSES:
        from magi_core.cli.second_pass import second_pass

        return second_pass(chosen, load=load)
    if chosen.command == "info":
        from magi_core.cli.info import info

        return info(chosen)
    if chosen.command == "models":
        from magi_core.cli.models import models

        return models(chosen.folders)
    from magi_core.cli.doctor import doctor

    return doctor()


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    top = _Parser(prog="python -m magi_core", description="Direct MAGI-1, the video model, chunk by chunk.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    render_options(
        commands.add_parser(
            "render",
            help="prompts to a video",
            description="Render prompts, or a storyboard, to an mp4. A chunk is 24 frames: one second at 24 fps.",
        )
    )
    extend_options(
        commands.add_parser(
            "extend",
            help="go on with a saved take",
            description="Add chunks to a saved take. The take is saved after every chunk; -o writes its video as well.",
        )
    )
    for name, does in SECOND_PASSES.items():
        second_pass_options(commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}."), name)
    info_options(commands.add_parser("info", help="what is in a saved take"))
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
            f"unknown: {echo(' '.join(unknown), quoted=False)} (python -m magi_core {chosen.command} --help lists what "
            "is possible)"
        )
    if rest:
        chosen.prompts += rest
    return chosen
