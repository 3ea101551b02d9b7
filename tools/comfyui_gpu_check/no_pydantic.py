"""Stands in for pydantic, half of what would travel: ComfyUI imports it for routes that no check asks for."""

from __future__ import annotations

from typing import Any


class _Anything(type):
    def __getitem__(cls, key: Any) -> type:
        return cls


class BaseModel(metaclass=_Anything):
    def __init_subclass__(cls, **options: Any) -> None:
        """Options of a class mean nothing here."""


class ValidationError(ValueError):
    pass


def __getattr__(name: str) -> Any:
    """Types and fields; validators leave the function that they decorate as it is."""
    if name.startswith("__"):
        raise AttributeError(name)
    return _decorator if "validator" in name or "serializer" in name else _value


def _value(*_: Any, **__: Any) -> Any:
    return Any


def _decorator(*_: Any, **__: Any) -> Any:
    return lambda function: function
