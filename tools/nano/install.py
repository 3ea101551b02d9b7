"""Put exported weights where the engine looks, in the layout of official checkpoints.

    python -m tools.nano.install --vae DIR --dit DIR --distill DIR [--to magi_core/assets/nano]

assets/nano/{inference_weight, inference_weight.distill}/model.safetensors + model.safetensors.index.json ·
vae/{config.json, diffusion_pytorch_model.safetensors} · t5/{config.json, tokenizer.json, model.safetensors} ·
special_tokens.npz · nano.json. Both variants share everything but the transformer.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from safetensors import safe_open

from tools.nano.recipe import DIT_CONFIG
from tools.nano.text_model import END, PADDING, UNKNOWN
from tools.nano.vocabulary import ACTIONS, BACKGROUNDS, CAMERA_MOVES, COLOUR_NAMES, RADII, SHAPES, WEATHERS

ASSETS = Path(__file__).parents[2] / "magi_core" / "assets" / "nano"
SAMPLING = {
    "base": {
        "steps": 16,
        "guidance": {"knots": [0.0, 0.1, 0.3], "previous": [1.5, 1.0, 1.0], "text": [3.0, 3.0, 2.0]},
    },
    "distill": {"steps": 8, "nearly_clean_blend": 1.0},
}


def install(vae: Path, dit: Path, distill: Path | None, to: Path) -> None:
    """Copy the files of a VAE run, of a transformer run and of its distillation to `to`."""
    for folder in (to / "vae", to / "t5"):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(vae / "vae.safetensors", to / "vae" / "diffusion_pytorch_model.safetensors")
    shutil.copyfile(vae / "vae_config.json", to / "vae" / "config.json")
    install_transformer(dit, to / "inference_weight")
    if distill is not None:
        install_transformer(distill, to / "inference_weight.distill")
    shutil.copyfile(dit / "t5.safetensors", to / "t5" / "model.safetensors")
    shutil.copyfile(dit / "t5_config.json", to / "t5" / "config.json")
    shutil.copyfile(dit / "tokenizer.json", to / "t5" / "tokenizer.json")
    shutil.copyfile(dit / "special_tokens.npz", to / "special_tokens.npz")
    (to / "nano.json").write_text(json.dumps(card(known_words(to / "t5" / "tokenizer.json")), indent=1) + "\n")
    for file in to.rglob("*"):
        if file.is_file():
            file.chmod(0o644)


def install_transformer(run: Path, to: Path) -> None:
    """One variant's weights with their index and configuration."""
    to.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / "dit.safetensors", to / "model.safetensors")
    with safe_open(to / "model.safetensors", framework="pt") as file:
        names = sorted(file.keys())
    index = {
        "metadata": {"total_size": (to / "model.safetensors").stat().st_size},
        "weight_map": dict.fromkeys(names, "model.safetensors"),
    }
    (to / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    (to / "nano_config.json").write_text(json.dumps({"model_config": DIT_CONFIG}, indent=1) + "\n")


def known_words(tokenizer: Path) -> list[str]:
    """The words of an exported tokenizer, its marks for padding, ends and unknown words left out."""
    words = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    return sorted(set(words) - {PADDING, END, UNKNOWN})


def card(words: list[str]) -> dict:
    """What `nano.json` says: defaults and the words the model knows, which may be fewer than the world now has."""
    outdoors = {"weather": list(WEATHERS), "camera": list(CAMERA_MOVES)} if "camera" in words else {}
    filmed = ["it starts to rain", "the camera pans left"] if outdoors else []
    return {
        "name": "nano",
        "width": 128,
        "height": 128,
        "fps": 24,
        "sampling": SAMPLING,
        "vocabulary": {
            "shapes": list(SHAPES),
            "colours": list(COLOUR_NAMES),
            "sizes": list(RADII),
            "actions": list(ACTIONS),
            "backgrounds": list(BACKGROUNDS),
            **outdoors,
            "words": words,
            "examples": [
                "a big red circle moves left on a white background",
                "a small blue star goes around in circles at night",
                "it turns green",
                "it stops",
                "night falls",
                *filmed,
            ],
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--dit", type=Path, required=True)
    parser.add_argument("--distill", type=Path, help="folder of the distillation of --dit")
    parser.add_argument("--to", type=Path, default=ASSETS)
    args = parser.parse_args()
    install(args.vae, args.dit, args.distill, args.to)
    size = sum(file.stat().st_size for file in args.to.rglob("*") if file.is_file())
    print(f"{args.to}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
