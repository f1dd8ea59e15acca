"""A call: one request in loadproof's terms; and its reply, the answer in loadproof's terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loadproof.http.answers import Answer
    from loadproof.http.messages import Request
    from loadproof.scenario.target.operations import Operation

    Find = Callable[["Reply"], Any]
    """From a reply to a value in it; whatever it raises means that there is none."""

_UNCHANGED: Final = ()
"""For a field that has the same name in the answer."""


@dataclass(frozen=True)
class Call:
    """One request of one kind."""

    operation: Operation
    request: Request
    name: str = ""
    """The request's name in thresholds and tables; empty: its user's endpoint."""
    sent: Mapping[str, Any] = field(default_factory=dict)
    """The body's fields by loadproof's names, with the values that are sent."""
    note: Mapping[str, Any] | None = None
    """What the journal notes about it, by key."""
    finds: Mapping[str, Find] | None = None
    """The same, for values to find in the reply."""

    def with_headers(self, headers: Mapping[str, str]) -> Call:
        """The same call with these headers."""
        return Call(self.operation, self.request.with_headers(headers), self.name, self.sent, self.note, self.finds)


class Reply:
    """An answer in loadproof's terms. A field that the target file declares as not in the answer is None."""

    __slots__ = ("answer", "may_be_second", "operation")

    def __init__(self, answer: Answer, operation: Operation, *, may_be_second: bool = False) -> None:
        """`may_be_second`: the request was sent twice, and the target may have seen both."""
        self.answer = answer
        self.operation = operation
        self.may_be_second = may_be_second

    def __getitem__(self, word: str) -> Any:
        """The field's value; LookupError or ValueError if the answer should have it and doesn't.

        A null counts as missing: the target file says what an answer may lack.
        """
        keys = self.operation.answer_keys.get(word, _UNCHANGED)
        if keys is None:
            return None
        if keys is _UNCHANGED:
            value = self.answer.json[word]
        else:
            value = self.answer.json
            for key in keys:
                value = value[int(key)] if isinstance(value, list) else value[key]
        if value is None:
            raise LookupError(word)
        return value

    def says(self, word: str, expected: object) -> bool:
        """True unless the answer has another value, or lacks the field although it should have it."""
        value = self[word]
        if value is None:
            return True
        # In Python, True equals 1.
        if isinstance(value, bool) or isinstance(expected, bool):
            return value is expected
        return bool(value == expected) or _same_number(value, expected)

    def repeats(self, sent: Mapping[str, Any]) -> bool:
        """True unless the answer has a value other than the one that was sent."""
        return all(self.says(word, value) for word, value in sent.items() if word in self.operation.tells)

    def told(self) -> dict[str, Any]:
        """All fields of the answer, by loadproof's names; errors as for a single one."""
        return {word: self[word] for word in self.operation.tells}

    def number(self, word: str) -> Decimal:
        """The field as a number, even if it is text; ValueError if it is neither, or not a finite number."""
        value = self[word]
        try:
            number = Decimal(value if type(value) is int else str(value))
        except InvalidOperation:
            raise ValueError(word) from None
        if not number.is_finite():
            raise ValueError(word)
        return number


def _same_number(value: object, expected: object) -> bool:
    """12.3, "12.30" and "12.3" are the same amount."""
    try:
        return Decimal(str(value)) == Decimal(str(expected))
    except InvalidOperation:
        return False
