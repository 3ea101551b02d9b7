"""The tool that writes full-size checkpoints of random weights, at small size."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from magi_core.weights import load_dit, read_tensors
from tests.unit.weights.checkpoints import GOLDEN, same
from tools.write_random_checkpoint import main as write_random_checkpoint


def test_random_fp8_checkpoint_is_written_and_loads(tmp_path: Path) -> None:
    """The tool that writes full-size checkpoints, on the published fp8 list cut to three narrow layers."""
    content = json.loads((GOLDEN / "state_dicts/4.5B_distill_quant.json").read_text(encoding="utf-8"))
    small = {
        4096: 64,
        3072: 256,
        12288: 512,
        6144: 512,
        1024: 128,
        2048: 256,
        768: 64,
        128: 32,
        800: 16,
        16: 16,
    }
    kept = {name: p for name, p in content["params"].items() if ".layers." not in name or int(name.split(".")[2]) < 2}
    last = {name.replace(".layers.0.", ".layers.2."): p for name, p in kept.items() if ".layers.0." in name}
    params = {
        name: {"shape": [small.get(n, n) for n in p["shape"]], "dtype": p["dtype"]}
        for name, p in {**kept, **last}.items()
    }
    params["rope.bands"]["shape"] = [4]
    listing = tmp_path / "small.json"
    listing.write_text(json.dumps({"config": content["config"], "params": params}), encoding="utf-8")
    write_random_checkpoint([str(listing), str(tmp_path), "--shard-gb", "0.001"])
    folder = tmp_path / "small" / "inference_weight.fp8.distill"
    assert len(list(folder.glob("*.safetensors"))) > 2
    dit = load_dit(folder, device="cpu", dtype="bf16")
    assert dit.config.fp8
    assert dit.config.distill
    state = dit.state_dict()
    name = "videodit_blocks.layers.1.self_attention.linear_qkv.q."
    assert state[name + "weight"].dtype == torch.float8_e4m3fn
    assert state[name + "input_scale"].dtype == torch.float32
    assert same({k: v.float() for k, v in state.items()}, {k: v.float() for k, v in read_tensors(folder).items()})
