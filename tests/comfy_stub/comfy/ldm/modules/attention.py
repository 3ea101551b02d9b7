"""Stand-in for `comfy.ldm.modules.attention`: PyTorch's own, with overrides."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor


def attention_pytorch(
    q: Tensor, k: Tensor, v: Tensor, heads: int, *, transformer_options: Any, enable_gqa: bool = False, **reshapes: bool
) -> Tensor:
    assert reshapes == {"skip_reshape": True, "skip_output_reshape": True} and q.shape[1] == heads
    override = transformer_options.get("optimized_attention_override")
    if override is not None:
        return override(attention_pytorch, q, k, v, heads, transformer_options={}, enable_gqa=enable_gqa, **reshapes)
    return F.scaled_dot_product_attention(q, k, v, enable_gqa=enable_gqa)


def attention_sub_quad(*args: Any, **options: Any) -> Tensor:
    raise AssertionError("nobody asked for it")


optimized_attention = attention_sub_quad
