"""A VAE's configuration that cannot be built says what is wrong with it."""

from __future__ import annotations

import pytest

from magi_core.errors import MagiError
from magi_core.vae import VAEConfig
from tests.unit.vae.small_vae import DDCONFIG


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"z_chans": None}, "z_chans missing"),
        ({"use_rope": True}, "use_rope must be false"),
        ({"num_heads": 5}, "width 32 cannot be shared by 5 heads"),
        ({"use_final_proj": False}, "does not unpack"),
        ({"video_length": 10}, "cannot be cut into patches"),
        ({"embed_dim": "wide"}, "embed_dim must be a whole number"),
        ({"depth": 0}, "depth must be a whole number"),
    ],
)
def test_bad_configs_say_what_is_wrong(changes: dict[str, object], message: str) -> None:
    values = {name: value for name, value in (DDCONFIG | changes).items() if value is not None}
    with pytest.raises(MagiError, match=message):
        VAEConfig.from_json({"_class_name": "ViTVAE", "ddconfig": values})
