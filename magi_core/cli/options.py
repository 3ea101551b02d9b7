"""The options of each command."""

from __future__ import annotations

import argparse

from magi_core.cli.settings import AVOID_TOKENS, PROMPT_TOKENS
from magi_core.config import DRAFTS
from magi_core.errors import echo

AUDIO = "sound of the whole video, from a sound or video file (default: a given video keeps its own, then silence)"


def render_options(render: argparse.ArgumentParser) -> None:
    """Of `render`."""
    what = render.add_argument_group("what happens")
    what.add_argument("prompts", nargs="*", metavar="prompt", help="one per part of the video; parts are equally long")
    what.add_argument("--storyboard", metavar="FILE", help="a text or JSON file that says what happens in each chunk")
    _cleaning_option(what)
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

    model_options(render)

    picture = render.add_argument_group("picture and output")
    picture.add_argument("--width", metavar="W", type=_whole, help="pixels, a multiple of 16 (nano: 128, others: 720)")
    picture.add_argument("--height", metavar="H", type=_whole, help="as --width")
    picture.add_argument(
        "--fps", metavar="F", default="24", help="frames per second of the video (default: 24, as in training)"
    )
    picture.add_argument("--audio", metavar="FILE", help=AUDIO)
    picture.add_argument("--seed", metavar="N", type=_whole, default=0, help="another seed, another take (default: 0)")
    picture.add_argument(
        "--out", "-o", metavar="FILE.mp4", help="replaced if it exists (default: the next free output/magi_0001.mp4)"
    )
    picture.add_argument(
        "--save",
        metavar="FILE.magi",
        help="save the take after every chunk, to go on with `extend`, whatever happens",
    )
    picture.add_argument(
        "--contact-sheet", metavar="FILE.png", help="one row of pictures per chunk, labelled with its prompt"
    )

    _token_options(render)
    _sampling_options(render)


def extend_options(extend: argparse.ArgumentParser) -> None:
    """Of `extend`."""
    extend.add_argument("take", metavar="take.magi", help="what `render --save` or Magi Save State wrote")
    what = extend.add_argument_group("what happens")
    what.add_argument(
        "--prompt",
        action="append",
        dest="prompts",
        default=[],
        metavar="TEXT",
        help="of the new chunks; given several times, each takes an equal part of them. None: what a run "
        "that was broken off still had to make",
    )
    what.add_argument("--storyboard", metavar="FILE", help="what happens in each new chunk, counted from 0")
    _cleaning_option(what)
    length = what.add_mutually_exclusive_group()
    length.add_argument("--seconds", metavar="S", help="length of the new part; one chunk per prompt if left out")
    length.add_argument("--chunks", metavar="N", type=_whole, help="the same in chunks")
    what.add_argument("--at", metavar="K", type=_whole, help="go back to the first K chunks of the take before")
    what.add_argument(
        "--handoff",
        choices=("clean", "continuous"),
        default="clean",
        help="go on from finished chunks (clean, default), or as one long run would have (continuous, costs more)",
    )
    what.add_argument(
        "--no-drain", action="store_true", help="leave the last chunks in flight, for the next extend to finish"
    )
    output = extend.add_argument_group("output")
    output.add_argument("--out", "-o", metavar="FILE.mp4", help="the whole video; replaced if it exists")
    output.add_argument("--audio", metavar="FILE", help=AUDIO)
    output.add_argument("--save", metavar="FILE.magi", help="the longer take (default: in place of the one given)")
    model_options(extend)
    _token_options(extend)
    _sampling_options(extend)


def second_pass_options(command: argparse.ArgumentParser, name: str) -> None:
    """Of `restyle`, `retouch` and `finish`."""
    command.add_argument(
        "source", metavar="take.magi|video" if name == "restyle" else "take.magi", help="what is made anew; it stays"
    )
    what = command.add_argument_group("what happens")
    what.add_argument(
        "--prompt", action="append", dest="prompts", default=[], metavar="TEXT", help="in place of the take's own"
    )
    what.add_argument("--storyboard", metavar="FILE", help="the same chunk by chunk; [strength .5] is for one chunk")
    _cleaning_option(what)
    what.add_argument(
        "--strength",
        metavar="S",
        type=float,
        default=0.5,
        help="0 keeps the source, bit for bit; at .5 (default) motion stays and looks change; 1 makes all anew",
    )
    if name == "retouch":
        what.add_argument("--chunks", metavar="A-B", required=True, help="the chunks to make anew; the others are kept")
        what.add_argument("--join", metavar="N", type=_whole, default=0, help="chunks that lead back to what is kept")
        what.add_argument("--reroll", metavar="N", type=_whole, default=0, help="other noise for these chunks")
    else:
        what.add_argument("--seed", metavar="N", type=_whole, help="other noise (default: the take's seed, or 0)")
    if name == "restyle":
        what.add_argument(
            "--width", metavar="W", type=_whole, help="pixels (default: a take's own, for a video the model's)"
        )
        what.add_argument("--height", metavar="H", type=_whole, help="as --width")
    if name == "finish":
        what.add_argument("--size", metavar="WxH", help="another size in pixels, multiples of 16, such as 1280x720")
    output = command.add_argument_group("output")
    output.add_argument("--save", metavar="FILE.magi", required=True, help="the new take, saved after every chunk")
    output.add_argument("--out", "-o", metavar="FILE.mp4", help="its video; replaced if it exists")
    model_options(command)
    _token_options(command)
    _sampling_options(command)


def info_options(info: argparse.ArgumentParser) -> None:
    """Of `info`."""
    info.add_argument("take", metavar="take.magi", help="what `render --save` or Magi Save State wrote")
    info.add_argument("--sheet", metavar="FILE.png", help="draw a contact sheet, with the VAE of --model")
    info.add_argument(
        "--model", default="nano", metavar="NAME|FOLDER", help="whose VAE draws the sheet (default: nano)"
    )
    info.add_argument("--device", metavar="NAME", default="auto", help="cpu, cuda, cuda:1, mps or auto (default)")


def model_options(command: argparse.ArgumentParser) -> None:
    """Which model, and where it runs."""
    model = command.add_argument_group("model")
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
    model.add_argument(
        "--dtype", metavar="NAME", default="auto", help="number format: bf16, fp32, fp8 or auto (default)"
    )
    model.add_argument(
        "--attention",
        choices=("auto", "sdpa", "flash_attn", "sage"),
        default="auto",
        help="attention backend (default: auto, the fastest that is exact; sage computes in 8 bits)",
    )
    model.add_argument(
        "--vram",
        metavar="GB",
        type=float,
        help="memory of the GPU to keep to, in all; what finds no room waits in main memory (default: what is free)",
    )
    model.add_argument(
        "--compile",
        action="store_true",
        help="compile parts of the model with torch.compile: starts slower; a large model is faster from then on",
    )


def _cleaning_option(what: argparse._ArgumentGroup) -> None:
    what.add_argument(
        "--no-clean",
        action="store_true",
        help="prompts as typed, without the cleaning that captions had in training (it drops Chinese, brackets, C3PO)",
    )


def _token_options(command: argparse.ArgumentParser) -> None:
    tokens = command.add_argument_group("special tokens (need special_tokens.npz beside the model)")
    for switch, (_, text) in (PROMPT_TOKENS | AVOID_TOKENS).items():
        tokens.add_argument(f"--{switch}", action="store_true", help=text)
    tokens.add_argument("--no-hq", action="store_true", help="do not ask for the look of the best training footage")
    tokens.add_argument(
        "--no-duration-tokens", action="store_true", help="do not tell the model how many chunks are to come"
    )
    tokens.add_argument("--no-special-tokens", action="store_true", help="both of these, for models without the file")


def _sampling_options(command: argparse.ArgumentParser) -> None:
    # No defaults here: what is not given is left to the model's own settings, or the take's.
    sampling = command.add_argument_group("sampling (left out: the model's own values, or the take's)")
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
    sampling.add_argument(
        "--draft",
        choices=("off", *DRAFTS),
        help="a quicker look: some steps go on as the one before went; another take than without (default: off)",
    )
    sampling.add_argument("--shortcut", choices=("8,16,16", "16,16,8"), help="order of step sizes with --steps 12")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number: {echo(text)}") from None
