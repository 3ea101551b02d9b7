"""One model forward without cache, with every intermediate of the first layer the goldens hold."""

from __future__ import annotations

import pytest
import torch

from magi_core.attention.sdpa import sdpa
from magi_core.dit import TextAttention, WindowAttention
from magi_core.sampling.timesteps import step_factor
from tools.parity.golden import FORWARD_TOLERANCE, cases, golden_dit, max_error


class Recorder:
    """Wraps an attention context and keeps what passed through it at layer 0, in one piece."""

    def __init__(self, context):
        self.context, self.inputs, self.output = context, (), None

    def __call__(self, layer, *inputs):
        output = self.context(layer, *inputs)
        if layer:
            return output
        if not callable(output):
            self.inputs, self.output = inputs[:1], output
            return output

        def read(q, first):
            (k,), (v,) = inputs
            self.inputs, self.output = (q, k, v), output(q, first)
            return self.output

        return read


@pytest.mark.parametrize("case", cases("forward"), ids=repr)
def test_forward(case, compared):
    tensors, kwargs = case.tensors(), case.meta["kwargs"]
    dit = golden_dit(case.meta["weights"], case.meta["distill"])
    x, t = tensors["x"], tensors["t"]
    chunks = t.shape[1]
    size = x.shape[2] // chunks * x.shape[3] * x.shape[4] // 4
    ranges = [(start // size, stop // size) for start, stop in tensors["kv_range"].tolist()]
    visible = [y[0][mask[0].bool()] for y, mask in zip(tensors["y"], tensors["mask"], strict=True)]
    texts = [dit.text_context(tokens) for tokens in visible]
    factor = step_factor(kwargs["num_steps"], kwargs["distill_interval"]) if case.meta["distill"] else None

    def run(dropped, attend, cross):
        with torch.no_grad():
            return dit(x, t, cross, frames=torch.arange(x.shape[2]), attend=attend, dropped=dropped, step_factor=factor)

    attend, cross = Recorder(WindowAttention(sdpa, ranges)), Recorder(TextAttention(sdpa, texts))
    seen = {}
    hooks = record_layers(dit, seen, chunks)
    errors = {"out_dropped": max_error(run(True, attend, cross), tensors["out_dropped"])}  # L0_* belong to this run
    for hook in hooks:
        hook.remove()
    q, k, v = (part[0] for part in attend.inputs)
    seen |= {"L0_q": q, "L0_k": k, "L0_v": v, "L0_core": attend.output[0].flatten(1)[:, None]}
    seen |= {"L0_xq": cross.inputs[0][0], "L0_cross": cross.output[0].flatten(1)[:, None]}
    seen |= {"L0_xk": torch.cat([text.keys[0] for text in texts])}
    seen |= {"L0_xv": torch.cat([text.values[0] for text in texts])}
    seen |= {"L0_y_xattn_flat": torch.cat([dit.text_tokens(tokens) for tokens in visible])}
    for name, actual in seen.items():
        if name in tensors:
            errors[name] = max_error(actual, tensors[name])
    plain = run(bool(tensors["caption_dropout_mask"]), WindowAttention(sdpa, ranges), TextAttention(sdpa, texts))
    errors["out"] = max_error(plain, tensors["out"])
    compared("forward", case.name, max(errors.values()))
    assert max(errors.values()) < FORWARD_TOLERANCE, errors
    if "L0_q" in tensors:
        compared_names = {name for name in tensors if name.startswith(("L0_", "L_last", "final"))}
        assert compared_names - {"L0_condition_map"} <= set(errors)


def record_layers(dit, seen, chunks):
    """Forward hooks that copy layer 0's inputs and outputs, the last layer's output and the final norm into `seen`."""
    blocks = dit.videodit_blocks
    first = blocks.layers[0]

    def to_golden(x):
        return x.transpose(0, 1)  # [B, S, D] -> [S, B, D]

    def block_input(_module, args):
        seen["L0_in"], seen["L0_condition"] = to_golden(args[0]), args[1]
        seen["L0_rope"] = torch.cat(args[2], dim=-1)

    def keep(name, convert=to_golden):
        def hook(_module, _args, output):
            seen[name] = convert(output)

        return hook

    return [
        first.register_forward_pre_hook(block_input),
        first.register_forward_hook(keep("L0_out")),
        first.self_attention.register_forward_hook(keep("L0_proj")),
        first.mlp.register_forward_hook(keep("L0_mlp")),
        first.ada_modulate_layer.proj.register_forward_hook(keep("L0_gate", lambda x: x[:, :chunks])),  # eight rows
        blocks.layers[-1].register_forward_hook(keep("L_last_out")),
        blocks.final_layernorm.register_forward_hook(keep("final_ln")),
    ]
