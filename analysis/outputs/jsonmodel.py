"""The base of models of JSON files: each field states its name, type and origin once."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Annotated, Any, Self, TypeVar

from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field, WrapValidator

_S = TypeVar("_S")

Finite = Annotated[float | None, WrapValidator(lambda value, _: value if math.isfinite(value) else None)]
"""Null in place of infinity or NaN, which JSON doesn't have. A count stays an integer."""


class JsonModel(BaseModel):
    """Built from its source's attributes: those of the same name, unless `from_` names others."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    @classmethod
    def of(cls, source: object) -> Self:
        return cls.model_validate(source)

    def text(self) -> str:
        return json.dumps(self.model_dump(), indent=2, allow_nan=False) + "\n"


def from_(*attributes: str) -> Any:
    """A field read from this attribute of the source, or, with several names, from a path of attributes."""
    return Field(validation_alias=AliasPath(*attributes))


def by(read: Callable[[_S], object]) -> BeforeValidator:
    """A field computed from its attribute; None stays None."""
    return BeforeValidator(lambda value: None if value is None else read(value))
