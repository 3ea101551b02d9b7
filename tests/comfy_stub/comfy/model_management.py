"""Stand-in for `comfy.model_management`: everything is on the CPU; tests raise the interrupt flag themselves."""

import torch

interrupted = False


class InterruptProcessingException(BaseException):  # noqa: N818
    pass


def get_torch_device() -> torch.device:
    return torch.device("cpu")


vae_device = text_encoder_device = get_torch_device


def processing_interrupted() -> bool:
    return interrupted


def throw_exception_if_processing_interrupted() -> None:
    global interrupted
    if interrupted:
        interrupted = False
        raise InterruptProcessingException
