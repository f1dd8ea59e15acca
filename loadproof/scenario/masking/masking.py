"""Finds secrets in texts, however a server or a log encoded them, and writes ${NAME} in their place; pure."""

from __future__ import annotations

import functools
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from loadproof.scenario.masking.secretforms import SHORTEST, SecretForm, forms_of, searched
from loadproof.scenario.masking.unescaping import unescaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.scenario.masking.unescaping import Unescaped

OBTAINED: Final = "obtained token"
"""The name shown for a secret that comes from no variable."""
_MOST_OBTAINED: Final = 10_000
"""Tokens to remember, the latest ones; older ones have expired."""
_DEEPEST: Final = 3
"""How many layers of escapes are undone: JSON in JSON in HTML."""
_LONGEST_ESCAPE: Final = 10
"""Characters that one escaped character may take up."""
_KEPT_TEXTS: Final = 1024
"""Errors repeat: under overload each failed request has one of a few reasons."""
_KEPT_CHARACTERS: Final = 1000

_Error = TypeVar("_Error", bound=BaseException)


class _Span(NamedTuple):
    start: int
    end: int
    name: str


class Masker:
    """Replaces each secret in a text with ${NAME}: made from values by name, and cheap for repeated texts.

    It can learn more secrets while in use.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        forms = {form for name, value in values.items() for form in forms_of(name, value)}
        self._forms = sorted(forms, key=lambda form: -len(form.text))
        self._obtained: dict[str, set[SecretForm]] = {}
        self._obtained_by_beginning: defaultdict[tuple[bool, str], set[SecretForm]] = defaultdict(set)
        """Thousands of users may have a token each: too many to look for one by one."""
        self.reach = _reach_of(forms)
        """The most characters that a secret can take up in a text."""
        self._kept = functools.lru_cache(_KEPT_TEXTS)(self._masked)

    @property
    def knows_nothing(self) -> bool:
        """Whether there are no secrets to look for."""
        return not (self._forms or self._obtained)

    def learn(self, token: str) -> None:
        """Mask this obtained token, too; the oldest ones are forgotten."""
        if token in self._obtained:
            return
        self._obtained[token] = forms = forms_of(OBTAINED, token)
        for form in forms:
            self._obtained_by_beginning[_beginning_of(form)].add(form)
        if len(self._obtained) > _MOST_OBTAINED:
            for form in self._obtained.pop(next(iter(self._obtained))):
                self._obtained_by_beginning[_beginning_of(form)].discard(form)
        self.reach = max(self.reach, _reach_of(forms))
        self._kept.cache_clear()

    def __call__(self, text: str) -> str:
        """The text with its secrets masked."""
        if self.knows_nothing:
            return text
        return self._kept(text) if len(text) <= _KEPT_CHARACTERS else self._masked(text)

    def beginning(self, text: str, length: int) -> tuple[str, str]:
        """About the first `length` characters, masked, and the rest as it was.

        No secret is split between them if `text` is complete or goes on for at least `reach` characters after `length`.
        """
        spans = [] if self.knows_nothing else [span for span in self._spans(text) if span.start < length]
        end = max(length, spans[-1].end) if spans else length
        return _replaced(text[:end], spans), text[end:]

    def error(self, error: _Error) -> _Error | Exception:
        """The error itself, or if its text has a secret, one with the same class name and a masked text."""
        if self.knows_nothing:
            return error
        try:
            shown = str(error), repr(error)
        except Exception as broken:  # noqa: BLE001 - a user's own class can do anything
            return _stand_in(type(error).__name__)(f"its text can't be shown ({type(broken).__name__})")
        if all(self(text) == text for text in shown):
            return error
        return _stand_in(type(error).__name__)(self(shown[0]))

    def _masked(self, text: str) -> str:
        return _replaced(text, self._spans(text))

    def _spans(self, text: str) -> list[_Span]:
        """Where the secrets are: in order, without overlaps."""
        apart: list[_Span] = []
        for span in sorted(self._found(text), key=lambda span: (span.start, -span.end)):
            if apart and span.start < apart[-1].end:
                apart[-1] = apart[-1]._replace(end=max(apart[-1].end, span.end))
            else:
                apart.append(span)
        return apart

    def _found(self, text: str) -> Iterator[_Span]:
        known = {text}
        layers: list[tuple[str, tuple[Unescaped, ...]]] = [(text, ())]
        for inner, around in layers:
            for start, end, name in self._found_as_written(inner):
                for layer in reversed(around):
                    start, end = layer.origin(start, end)  # noqa: PLW2901 - from layer to layer
                yield _Span(start, end, name)
            for layer in unescaped(inner) if len(around) < _DEEPEST else ():
                if layer.text not in known:
                    known.add(layer.text)
                    layers.append((layer.text, (*around, layer)))

    def _found_as_written(self, text: str) -> Iterator[_Span]:
        places = searched(text)
        for form in self._forms:
            place = places[form.is_exact]
            start = place.find(form.text)
            while start >= 0:
                end = start + len(form.text)
                yield _Span(start, end, form.name)
                start = place.find(form.text, end)
        for is_exact, place in places.items() if self._obtained else ():
            for start in range(len(place) - SHORTEST + 1):
                for form in self._obtained_by_beginning.get((is_exact, place[start : start + SHORTEST]), ()):
                    if place.startswith(form.text, start):
                        yield _Span(start, start + len(form.text), form.name)


def _reach_of(forms: set[SecretForm]) -> int:
    return _LONGEST_ESCAPE * max((len(form.text) for form in forms), default=0)


def _beginning_of(form: SecretForm) -> tuple[bool, str]:
    return form.is_exact, form.text[:SHORTEST]


@functools.lru_cache(maxsize=256)
def _stand_in(name: str) -> type[Exception]:
    return type(name, (Exception,), {})


def _replaced(text: str, spans: list[_Span]) -> str:
    pieces, before = [], 0
    for span in spans:
        pieces += [text[before : span.start], f"${{{span.name}}}"]
        before = span.end
    return "".join([*pieces, text[before:]])


NOTHING_SECRET: Final = Masker({})
