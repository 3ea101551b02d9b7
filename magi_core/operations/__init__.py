"""The one door for layers of a host or of fast kernels: the `Operations` protocol, and plain PyTorch as its default."""

from magi_core.operations.placed import Placed
from magi_core.operations.plain import PLAIN, Plain
from magi_core.operations.protocol import Operations
from magi_core.operations.streamed import Streamed

__all__ = ["PLAIN", "Operations", "Placed", "Plain", "Streamed"]
