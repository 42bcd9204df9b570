"""Frozen values at the price of plain ones: made as an unfrozen subclass that adds nothing, then given their class."""

from __future__ import annotations

import dataclasses
from typing import Any


def fields(cls: type) -> list[dataclasses.Field[Any]]:
    """Return the fields of a dataclass in the order in which its draft takes them: those without a default first."""
    return sorted(dataclasses.fields(cls), key=lambda field: field.default is not dataclasses.MISSING)


def draft(cls: type) -> Any:  # noqa: ANN401 - a class whose instances become `cls` by their `__class__`
    """Return the unfrozen subclass of a frozen, slotted dataclass; it takes the fields by place or by name."""
    plan = [(field.name, Any, dataclasses.field(default=field.default)) for field in fields(cls)]
    plain = {
        "__slots__": (),
        "__init__": vars(dataclasses.make_dataclass(f"{cls.__name__}Fields", plan))["__init__"],
        "__setattr__": object.__setattr__,
        "__delattr__": object.__delattr__,
    }
    return type(f"{cls.__name__}Draft", (cls,), plain)
