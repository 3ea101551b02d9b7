"""The installed weights as the runs that `tools.nano.install` took them from, to train on from.

    python -m tools.nano.unpack RUNS [--from magi_core/assets/nano]

writes RUNS/vae, RUNS/base and RUNS/distill, for `--vae`, `--init`, `--student` and `--student-of`.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from tools.nano.install import ASSETS


def unpack(assets: Path, runs: Path) -> None:
    """Copy the files of both variants and of their autoencoder to folders in `runs`."""
    shared = {
        "t5/model.safetensors": "t5.safetensors",
        "t5/config.json": "t5_config.json",
        "t5/tokenizer.json": "tokenizer.json",
        "special_tokens.npz": "special_tokens.npz",
    }
    folders = {
        "vae": {"vae/diffusion_pytorch_model.safetensors": "vae.safetensors", "vae/config.json": "vae_config.json"},
        "base": shared | {"inference_weight/model.safetensors": "dit.safetensors"},
        "distill": shared | {"inference_weight.distill/model.safetensors": "dit.safetensors"},
    }
    for folder, files in folders.items():
        (runs / folder).mkdir(parents=True, exist_ok=True)
        for installed, name in files.items():
            shutil.copyfile(assets / installed, runs / folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--from", dest="assets", type=Path, default=ASSETS)
    args = parser.parse_args()
    unpack(args.assets, args.runs)


if __name__ == "__main__":
    main()
