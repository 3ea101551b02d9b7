"""The golden rollouts and fp8 linears on a GPU: float32 without TF32, same tolerances as on the CPU.

python -m benchmarks.gpu_parity
"""

from __future__ import annotations

import json

import torch

from magi_core.engine import Engine
from magi_core.operations.fp8 import Fp8Linear
from tools.parity.golden import cases, golden_dit
from tools.parity.rollout import is_distilled, rollout_error, standin_tokens


def main() -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    report = {"device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu", "rollout": {}, "fp8": {}}
    tokens = standin_tokens()
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


if __name__ == "__main__":
    main()
