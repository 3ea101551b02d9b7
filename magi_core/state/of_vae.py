"""Which VAE a take's latents belong to: told where another one is to make them, or frames of them."""

from __future__ import annotations

from magi_core.errors import echo
from magi_core.state.state import SamplerState


def other_vae(take: SamplerState, here: str) -> str:
    """A note where the latents of `take` are of another VAE than `here`, an identity; "" where they are of the same, or
    one of the two is not known.

    Not an error: the same VAE saved in another way has another identity.
    """
    if not take.vae or not here or take.vae == here:
        return ""
    return (
        f"the take's latents belong to another VAE ({echo(take.vae, quoted=False)}) than the one here "
        f"({echo(here, quoted=False)}): expect wrong colours and shapes. Use the model and the VAE that it was made "
        "with; a copy of the same VAE in another format may be used"
    )
