"""Bar: ten prompts through T5-XXL in 3 s, its file in the page cache, nothing of it on the device.

    python -m benchmarks.text [--dtype bf16] [--layers 24]

Random weights at the shape of T5-XXL's encoder (24 layers of 4096, 9.5 GB in bfloat16), written into a temporary
folder. `load`: seconds until the first prompt is encoded, reading included; `prompts`: of ten more; `all`: of ten from
nothing. `file`: seconds to read the file alone. The tokenizer is nano's. Peaks are the allocator's and the process's.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.rates import card
from benchmarks.results import keep
from magi_core.attention.sdpa import sdpa
from magi_core.text.t5 import load_text_encoder

NANO = Path(__file__).parents[1] / "magi_core" / "assets" / "nano" / "t5"
XXL = {"d_model": 4096, "d_kv": 64, "num_heads": 64, "d_ff": 10240, "vocab_size": 32128}
PROMPTS = [f"a long sentence about number {i}, " + "with many words that are read one by one " * 8 for i in range(11)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--layers", type=int, default=24)
    options = parser.parse_args()
    rates = card(sdpa)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_t5(folder, options.layers)
        began = time.perf_counter()
        with (folder / "model.safetensors").open("rb", buffering=0) as file:
            while file.read(1 << 26):
                pass
        reading = time.perf_counter() - began
        torch.cuda.reset_peak_memory_stats()
        encoder = load_text_encoder(folder, device="cuda", dtype=options.dtype).as_typed()
        encoder.keeps = False
        times = []
        began = time.perf_counter()
        for prompt in PROMPTS:
            tokens = encoder.encode(prompt).tokens
            assert tokens.isfinite().all()
            times.append(time.perf_counter() - began)
        row = {
            "dtype": options.dtype,
            "tokens": len(tokens),
            "file": round(reading, 2),
            "load": round(times[0], 2),
            "prompts": round(times[10] - times[0], 3),
            "all": round(times[9], 2),
            "bar": 3.0,
            "peak GB": round(torch.cuda.max_memory_allocated() / 1e9, 2),
            "host peak GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        }
    keep("text", {"layers": options.layers}, rates, [row])


def write_t5(folder: Path, layers: int) -> None:
    """An encoder of T5-XXL's shape in `folder`."""
    from transformers import T5Config, T5EncoderModel

    config = json.loads((NANO / "config.json").read_text(encoding="utf-8")) | XXL | {"num_layers": layers}
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in T5EncoderModel(T5Config(**config)).state_dict().items()}
    tensors = {}
    for name, shape in shapes.items():
        if "embed_tokens" not in name:
            values = torch.empty(shape, device="cuda").normal_(0, shape[-1] ** -0.5 if len(shape) > 1 else 0)
            tensors[name] = (values + (len(shape) == 1)).bfloat16().cpu()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for file in NANO.glob("*token*"):
        shutil.copy(file, folder)


if __name__ == "__main__":
    main()
