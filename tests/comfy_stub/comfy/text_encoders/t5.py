"""Stand-in for `comfy.text_encoders.t5`: transformers' T5 under ComfyUI's interface."""

from typing import Any

import torch
from torch import Tensor, nn


class T5(nn.Module):
    def __init__(self, config: dict[str, Any], dtype: torch.dtype, device: torch.device, operations: Any) -> None:
        super().__init__()
        from transformers import T5Config, T5EncoderModel

        assert config.pop("dense_act_fn") == "gelu_pytorch_tanh" and config.pop("is_gated_act")
        assert config.pop("model_type") == "t5"
        with device:
            model = T5EncoderModel(T5Config(**config, feed_forward_proj="gated-gelu"))
        self.shared, self.encoder, self.dtype = model.shared, model.encoder, dtype
        del self.encoder.embed_tokens  # ComfyUI's has no second name for the table
        attention = self.encoder.block[0].layer[0].SelfAttention
        assert attention.relative_attention_num_buckets == 32

    def forward(self, ids: Tensor, attention_mask: None, dtype: torch.dtype) -> tuple[Tensor, None]:
        return self.encoder(inputs_embeds=self.shared(ids).to(dtype)).last_hidden_state, None
