"""What a T5 folder's config.json may say: sizes and the kind of its layers, nothing that loads or runs anything.

transformers takes far more from such a file: attention code from the Hub, classes of its own, quantisers. Only what is
listed here reaches it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from magi_core.errors import MagiError, echo
from magi_core.inputs.json_text import read_json

EXPECTED = (
    "Expected is the t5-v1_1-xxl folder that MAGI-1 uses: config.json, spiece.model and the weights "
    "(pytorch_model-*.bin with their index, or safetensors)."
)
SIZES = {  # whole numbers: least and most
    "d_model": (1, 1 << 16),
    "d_kv": (1, 1 << 12),
    "d_ff": (1, 1 << 18),
    "num_layers": (1, 256),
    "num_heads": (1, 1 << 10),
    "vocab_size": (1, 1 << 21),
    "relative_attention_num_buckets": (2, 1 << 12),
    "relative_attention_max_distance": (2, 1 << 20),
}
EPSILON = "layer_norm_epsilon"
KIND, KINDS = "feed_forward_proj", ("relu", "gelu", "gated-gelu", "gated-silu")


def read_config(folder: Path) -> Any:
    """The folder's `T5Config`. Raises `MagiError` for a folder without one, and for values out of bounds."""
    path = folder / "config.json"
    if not path.exists():
        missing = "has no config.json" if folder.is_dir() else "is not a folder"
        raise MagiError(f"{folder} is not a T5 text encoder: it {missing}. {EXPECTED}")
    try:
        content = read_json(path, "configuration")
    except MagiError as error:
        raise MagiError(f"{path} cannot be read ({error}). Download it again.") from error
    model_type = content.get("model_type") if isinstance(content, dict) else None
    if model_type != "t5":
        found = f"a model of type {echo(model_type)}" if model_type else "something else"
        raise MagiError(f"{folder} is not a T5 text encoder: its config.json describes {found}. {EXPECTED}")
    from transformers import T5Config

    try:
        return T5Config(**_checked(content))
    except Exception as error:  # which kinds depends on the version of transformers
        raise MagiError(f"{path} does not describe a usable T5 ({echo(error)}). Download it again.") from error


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    for name, (least, most) in SIZES.items():
        value = content.get(name, least)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise MagiError(f"{name} must be a whole number from {least} to {most}: {echo(value)}")
    epsilon = content.get(EPSILON, 1e-6)
    if not isinstance(epsilon, float | int) or not 0 < epsilon < 1 or not math.isfinite(epsilon):
        raise MagiError(f"{EPSILON} must be a small number such as 1e-6: {echo(epsilon)}")
    if content.get(KIND, KINDS[0]) not in KINDS:
        raise MagiError(f"{KIND} must be one of {', '.join(KINDS)}: {echo(content[KIND])}")
    return {name: content[name] for name in (*SIZES, EPSILON, KIND) if name in content}
