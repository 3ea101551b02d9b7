"""Writes a full-size checkpoint of random weights in the official layout, from a list of names and shapes.

    python -m tools.write_random_checkpoint 4.5B_distill_quant OUT
    python -m tools.measure_load OUT

makes OUT/4.5B_distill_quant/inference_weight.fp8.distill/ with an index and shards, and then measures how it
loads.
Weights are scaled so that a forward pass stays finite, nothing more: for tests of loading, memory and speed
only.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

LISTS = Path(__file__).parents[1] / "tests" / "golden" / "state_dicts"
INPUT_SCALE = 0.02  # of quantised linears: keeps normal inputs well inside float8's range


def main(arguments: list[str] | None = None) -> None:
    names = sorted(path.stem for path in LISTS.glob("*B_*.json"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("list", help=f"one of {', '.join(names)}, or a JSON file of that form")
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--distill", action="store_true", help="name a base list's folder as distilled")
    parser.add_argument("--shard-gb", type=float, default=1.0, help="size of a shard, and of the memory this takes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    source = LISTS / f"{options.list}.json" if options.list in names else Path(options.list)
    content = json.loads(source.read_text(encoding="utf-8"))
    engine = content["config"]["engine_config"]
    folder = options.out / source.stem / weights_folder(engine["fp8_quant"], engine["distill"] or options.distill)
    size = write_checkpoint(content["params"], folder, int(options.shard_gb * 1e9), options.seed)
    print(f"{folder}: {len(content['params'])} tensors, {size / 1e9:.2f} GB")


def weights_folder(fp8: bool, distill: bool) -> str:
    """The official name of the folder."""
    return "inference_weight" + (".fp8" if fp8 else "") + (".distill" if distill else "")


def write_checkpoint(
    params: Mapping[str, Mapping[str, Any]], folder: Path, shard_bytes: int, seed: int = 0, device: str = "cpu"
) -> int:
    """Writes shards of about `shard_bytes` and their index, one at a time. Returns the bytes written.

    params: name -> {"shape": [...], "dtype": "bfloat16"}. device: where the numbers are drawn, other ones on each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator(device).manual_seed(seed)
    groups = list(_groups(params, shard_bytes))
    weight_map, total = {}, 0
    for number, names in enumerate(groups, start=1):
        file = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        tensors = {name: random_tensor(name, params[name], generator) for name in names}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(names, file))
        total += sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    return total


def random_tensor(name: str, entry: Mapping[str, Any], generator: torch.Generator) -> Tensor:
    """Weights of about unit gain, rotary bands as initialised, norms as identity, scales constant."""
    shape, dtype = entry["shape"], getattr(torch, entry["dtype"])
    fan_in = math.prod(shape[1:]) if dtype != torch.float8_e4m3fn else shape[-1]
    if name.endswith(".weight_scale"):
        return torch.full(shape, 0.02)
    if name.endswith(("input_scale", "smooth_scale")):
        return torch.full(shape, INPUT_SCALE)
    if name == "rope.bands":
        return (10000.0 ** (-torch.arange(shape[0]) / shape[0])).to(dtype)
    if name.endswith(".layer_norm.weight"):
        return torch.ones(shape, dtype=dtype)
    if len(shape) == 1:
        return torch.zeros(shape, dtype=dtype)
    values = torch.empty(shape, device=generator.device).normal_(generator=generator)
    return (values if dtype == torch.float8_e4m3fn else values * fan_in**-0.5).to(dtype).cpu()


def _groups(params: Mapping[str, Mapping[str, Any]], limit: int) -> Iterator[list[str]]:
    names, size = [], 0
    for name, entry in params.items():
        nbytes = math.prod(entry["shape"]) * getattr(torch, entry["dtype"]).itemsize
        if names and size + nbytes > limit:
            yield names
            names, size = [], 0
        names.append(name)
        size += nbytes
    yield names


if __name__ == "__main__":
    sys.exit(main())
