"""Strict pydantic models of the YAML that people write, and their errors as one `Problem` each."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationError,
)
from pydantic_core import CoreSchema, core_schema

from loadproof.errors import InputError, Problem, excerpt
from loadproof.scenario.document import Document, YamlPath, parse_yaml
from loadproof.units import Dimension, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import ErrorDetails

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_BRANCH: Final = "fault"
"""The key whose value says which branch of a union a mapping is."""
_NO_MORE: Final[dict[YamlPath, str]] = {
    ("http_client",): "remove it: loadproof's own client makes all requests",
}
"""Keys that were removed, and what to do about them."""
_WEEK_S: Final = 7 * 86_400.0


class Strict(BaseModel):
    """Unknown keys and silent conversions ('5' for 5, 1 for true) are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_Model = TypeVar("_Model", bound=Strict)


@dataclass(frozen=True)
class Quantity:
    """Annotates a float in SI units: read as text with any unit of its dimension, and dumped with this one."""

    dimension: Dimension
    unit: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            self._parsed,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(
                self._text, return_schema=core_schema.str_schema()
            ),
        )

    def __get_pydantic_json_schema__(self, _: CoreSchema, __: GetJsonSchemaHandler) -> JsonSchemaValue:
        notation = self.dimension.value
        units = "|".join("[u\u00b5\u03bc]s" if unit == "us" else unit for unit in notation.factors)
        return {
            "type": "string",
            "pattern": rf"^\s*\d+(\.\d+)?\s*({units})\s*$",
            "examples": [notation.example],
        }

    def _parsed(self, text: object) -> float:
        return parse_quantity(text, self.dimension)

    def _text(self, value: float) -> str:
        return f"{value / self.dimension.value.factors[self.unit]:.12g} {self.unit}"


Duration = Annotated[float, Quantity(Dimension.DURATION, "s"), Field(gt=0, le=_WEEK_S)]
Rate = Annotated[float, Quantity(Dimension.RATE, "rps"), Field(gt=0, le=100_000)]
Bandwidth = Annotated[float, Quantity(Dimension.BANDWIDTH, "kB/s"), Field(gt=0, le=1e10)]
Share = Annotated[float, Quantity(Dimension.RATIO, "%"), Field(gt=0, le=1)]
"""Written with a unit, and read in SI units: s, 1/s, bytes/s, and 0-1."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


def read_document(path: Path) -> Document:
    """The YAML document in a file; InputError if it can't be read or isn't YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        remedy = "give the path of a readable file"
        raise InputError(Problem(str(path), f"can't be read: {error.strerror or error}", remedy)) from None
    except UnicodeDecodeError as error:
        raise InputError(Problem(str(path), f"not UTF-8 at byte {error.start}", "save it as UTF-8")) from None
    return parse_yaml(text, str(path))


def validate(model: type[_Model], document: Document, *, secrets: Sequence[YamlPath] = ()) -> _Model:
    """The document as a `model`; InputError with every invalid field, without the values at `secrets`."""
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        raise InputError(_problems(error, document, secrets)) from None


def _problems(error: ValidationError, document: Document, secrets: Sequence[YamlPath]) -> Iterator[Problem]:
    """One problem per place: the branches of a union are reported together."""
    by_path: dict[YamlPath, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        by_path.setdefault(_path_in(document.value, details), []).append(details)
    for path, places in by_path.items():
        what, remedy = _explained(places[0])
        if len(places) > 1:
            remedy = "; or ".join(dict.fromkeys(_explained(details)[1] for details in places))
        secret = next((place for place in secrets if path[: len(place)] == place), None)
        got = None if secret or places[0]["type"] == "missing" else _shown(places[0])
        # What should be a name may contain the secret too: 'Authorization: Bearer …' in one pair of quotes.
        is_name = secret is None or all(_NAME.fullmatch(str(key)) for key in path)
        yield Problem(document.where(path, shown=path if is_name else secret), what, remedy, got=got)


def _path_in(value: Any, details: ErrorDetails) -> YamlPath:
    """Pydantic's location without the names of union branches, which are not keys of the document."""
    path: list[str | int] = []
    is_branch_named, last = False, len(details["loc"]) - 1
    for place, part in enumerate(details["loc"]):
        keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        if isinstance(value, dict) and value.get(_BRANCH) == part and not is_branch_named:
            # It may also be the name of a key.
            is_branch_named = True
            continue
        if part in keys:
            value, is_branch_named = value[part], False
        elif details["type"] != "missing" or place != last:
            continue
        path.append(part)
    return tuple(path)


def _shown(details: ErrorDetails) -> str:
    if details["type"] == "union_tag_invalid":
        return str(details["ctx"]["tag"])
    value = details["loc"][-1] if details["type"] == "extra_forbidden" else details["input"]
    return value if isinstance(value, str) else excerpt(str(value))


def _explained(details: ErrorDetails) -> tuple[str, str]:
    """What is wrong, and the remedy."""
    message = details["msg"][0].lower() + details["msg"][1:]
    match details["type"]:
        case "extra_forbidden":
            return "unknown key", _NO_MORE.get(details["loc"], "correct or remove it")
        case "missing":
            return "missing", "add it"
        case "value_error":
            expected = str(details["ctx"]["error"])
            what, separator, remedy = expected.partition("; ")
            return (what, remedy) if separator else ("not understood", expected)
        case "union_tag_invalid" | "union_tag_not_found":
            return _explained_tag(**details["ctx"])
        case "model_type" | "model_attributes_type" | "dict_type":
            return "not a mapping", "write keys and values there"
        case _:
            return "not accepted", message.replace("input should", "it should").replace("string should", "it should")


def _explained_tag(discriminator: str, expected_tags: str = "", tag: str = "") -> tuple[str, str]:
    """For a mapping of which one key says what kind it is."""
    if not expected_tags:
        return f"no key {discriminator}", "add it"
    known = [known.strip("'") for known in expected_tags.split(", ")]
    return f"no such {discriminator.strip(chr(39))}", nearest(tag, known)


def nearest(word: str, known: list[str]) -> str:
    """'did you mean …?' or the list of known words."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"one of {', '.join(known)}"
