"""Keeping a whole process within a budget of a GPU's memory: a host that streams what finds no room."""

from magi_core.budget.amounts import allowed_bytes, allowed_on
from magi_core.budget.host import WithinBudget

__all__ = ["WithinBudget", "allowed_bytes", "allowed_on"]
