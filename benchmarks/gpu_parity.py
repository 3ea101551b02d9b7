"""The golden rollouts and fp8 linears on a GPU: float32 without TF32, same tolerances as on the CPU.

python -m benchmarks.gpu_parity
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from magi_core.dit.fp8 import Fp8Linear
from magi_core.engine import Engine
from magi_core.text.special_tokens import load_special_tokens
from tests.parity.golden import cases, golden_dit
from tests.parity.test_rollout_parity import is_distilled, rollout_error


def main() -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    report = {"device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu", "rollout": {}, "fp8": {}}
    tokens = special_tokens()
    for case in cases("rollout"):
        dit = golden_dit(case.meta["weights"], is_distilled(case)).to(device)
        report["rollout"][case.name] = rollout_error(case, Engine(dit, special_tokens=tokens))
    for case in cases("fp8_linear"):
        tensors = case.tensors()
        for row in case.meta["cases"]:
            prefix = row["name"] + "_"
            part = {n.removeprefix(prefix): t.to(device) for n, t in tensors.items() if n.startswith(prefix)}
            layer = Fp8Linear(row["in_features"], row["out_features"], per_channel="PerChannel" in row["cls"])
            names = ("weight", "weight_scale", "input_scale", "smooth_scale")
            layer.to(device).load_state_dict({n: part[n] for n in names if n in part})
            out, golden = layer(part["x"]).float(), part["out"].float()
            report["fp8"][row["name"]] = ((out - golden).norm() / golden.norm()).item()
    print(json.dumps(report, indent=1))


def special_tokens():
    (case,) = [case for case in cases("special_tokens") if "cases" not in case.meta]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "special_tokens.npz"
        np.savez(path, **{name: tensor.numpy() for name, tensor in case.tensors().items()})
        return load_special_tokens(path)


if __name__ == "__main__":
    main()
