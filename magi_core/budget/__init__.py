"""Keeping a whole process within a budget of a GPU's memory: a host that streams what finds no room."""

from magi_core.budget.amounts import allowed_bytes, allowed_on, without_holes
from magi_core.budget.host import HOLES, WithinBudget

__all__ = ["HOLES", "WithinBudget", "allowed_bytes", "allowed_on", "without_holes"]
