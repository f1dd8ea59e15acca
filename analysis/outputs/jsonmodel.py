"""What the models of a JSON file share: a field says once what it is called, of which type it is, and its origin."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Self, TypeVar

from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field

_S = TypeVar("_S")


class JsonModel(BaseModel):
    """Read from the attributes of what it is a picture of; of the same name, unless `from_` says which."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    @classmethod
    def of(cls, source: object) -> Self:
        return cls.model_validate(source)

    def text(self) -> str:
        return json.dumps(self.model_dump(), indent=2, allow_nan=False) + "\n"


def from_(*attributes: str) -> Any:
    """A field that comes from this attribute of the source, or from an attribute of that one, and so on."""
    return Field(validation_alias=AliasPath(*attributes))


def by(read: Callable[[_S], object]) -> BeforeValidator:
    """A field that is worked out of its attribute; None stays None."""
    return BeforeValidator(lambda value: None if value is None else read(value))
