"""Finds secrets in texts, however a server or a log encoded them, and writes ${NAME} in their place; pure."""

from __future__ import annotations

import base64
import functools
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from loadproof.scenario.unescaping import unescaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.scenario.unescaping import Unescaped

SHORTEST: Final = 4
"""Characters; anything shorter would be found in every text."""
_SHORTEST_PART: Final = 8
"""Of a value like `Bearer …` or `id=…; key=…`; shorter parts are words."""
_PARTS: Final = re.compile(r"[\s,;=:]+")
_KEY_PREFIX: Final = "whsec_"
_DEEPEST: Final = 3
"""How many escapes may be within each other: JSON in JSON in HTML."""
_LONGEST_ESCAPE: Final = 10
"""Characters that one may become."""
_KEPT_TEXTS: Final = 1024
"""Errors repeat: under overload each failed request has one of a few reasons."""
_KEPT_CHARACTERS: Final = 1000
_LOWER: Final = {code: chr(code).lower() for code in range(256) if len(chr(code).lower()) == 1}
"""Letter by letter: `lower()` can change a text's length."""
_STANDARD: Final = str.maketrans("-_", "+/")
"""The alphabet for URLs to the other one. Source: RFC 4648, section 5."""


_Error = TypeVar("_Error", bound=BaseException)


class _Form(NamedTuple):
    text: str
    name: str
    is_exact: bool
    """Upper and lower case differ, as in base64."""


class _Span(NamedTuple):
    start: int
    end: int
    name: str


class Masker:
    """Writes ${NAME} for each secret in a text; made once from their values by name, and then cheap for equal texts."""

    def __init__(self, values: Mapping[str, str]) -> None:
        forms = {form for name, value in values.items() for form in _forms(name, value)}
        self._forms = sorted((form for form in forms if len(form.text) >= SHORTEST), key=lambda form: -len(form.text))
        self.reach = _LONGEST_ESCAPE * max((len(form.text) for form in self._forms), default=0)
        """The most characters that a secret can take in a text."""
        self._kept = functools.lru_cache(_KEPT_TEXTS)(self._masked)

    def __call__(self, text: str) -> str:
        """The text without the secrets."""
        if not self._forms:
            return text
        return self._kept(text) if len(text) <= _KEPT_CHARACTERS else self._masked(text)

    def beginning(self, text: str, length: int) -> tuple[str, str]:
        """About the first `length` characters without the secrets, and the rest as it was.

        No secret is cut, if the rest is cut at all, only more than `reach` characters after the beginning.
        """
        spans = [span for span in self._spans(text) if span.start < length] if self._forms else []
        end = max(length, spans[-1].end) if spans else length
        return _replaced(text[:end], spans), text[end:]

    def error(self, error: _Error) -> _Error | Exception:
        """The error itself, or one of the same name whose text is masked."""
        if not self._forms:
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
        """Where the secrets are; in order, and apart from each other."""
        apart: list[_Span] = []
        for span in sorted(self._found(text), key=lambda span: (span.start, -span.end)):
            if apart and span.start < apart[-1].end:
                apart[-1] = apart[-1]._replace(end=max(apart[-1].end, span.end))
            else:
                apart.append(span)
        return apart

    def _found(self, text: str) -> Iterator[_Span]:
        searched = {text}
        layers: list[tuple[str, tuple[Unescaped, ...]]] = [(text, ())]
        for inner, around in layers:
            for start, end, name in self._found_as_written(inner):
                for layer in reversed(around):
                    start, end = layer.origin(start, end)  # noqa: PLW2901 - from layer to layer
                yield _Span(start, end, name)
            for layer in unescaped(inner) if len(around) < _DEEPEST else ():
                if layer.text not in searched:
                    searched.add(layer.text)
                    layers.append((layer.text, (*around, layer)))

    def _found_as_written(self, text: str) -> Iterator[_Span]:
        lower, standard = text.translate(_LOWER), text.translate(_STANDARD)
        for form in self._forms:
            searched = standard if form.is_exact else lower
            start = searched.find(form.text)
            while start >= 0:
                end = start + len(form.text)
                yield _Span(start, end, form.name)
                start = searched.find(form.text, end)


NOTHING_SECRET: Final = Masker({})


@functools.lru_cache(maxsize=256)
def _stand_in(name: str) -> type[Exception]:
    return type(name, (Exception,), {})


def _replaced(text: str, spans: list[_Span]) -> str:
    pieces, before = [], 0
    for span in spans:
        pieces += [text[before : span.start], f"${{{span.name}}}"]
        before = span.end
    return "".join([*pieces, text[before:]])


def _forms(name: str, value: str) -> Iterator[_Form]:
    for secret in _secrets_in(value):
        for text in _readings(secret):
            yield _Form(text.translate(_LOWER), name, is_exact=False)
        for text in {secret, *(json.dumps(secret, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False))}:
            # In JSON, because that is what is put into base64.
            for content in _bytes_of(text):
                yield from _encoded(name, content)
    for key in _keys_in(value):
        yield from _encoded(name, key)


def _secrets_in(value: str) -> set[str]:
    """The value, its parts, and what it says in base64: a Basic credential, and the password in it."""
    texts = {value, value.strip(), *(part for part in _PARTS.split(value) if len(part) >= _SHORTEST_PART)}
    for key in _keys_in(value):
        for decoded in filter(str.isprintable, _decoded(key)):
            texts |= {decoded, decoded.partition(":")[2]}
    return texts


def _keys_in(value: str) -> Iterator[bytes]:
    """What the value, or a part of it after a space, is in base64."""
    for text in {value, *value.split()}:
        written = text.removeprefix(_KEY_PREFIX).translate(_STANDARD).rstrip("=")
        try:
            key = base64.b64decode(written + "=" * (-len(written) % 4), validate=True)
        except ValueError:
            continue
        if len(key) >= SHORTEST:
            yield key


def _readings(secret: str) -> Iterator[str]:
    """As sent, as each of UTF-8 and Latin-1 reads in the other, with '+' for spaces, and in UTF-16 as JSON has it."""
    for text in (secret, secret.replace(" ", "+")):
        yield text
        for content in _bytes_of(text):
            yield content.decode("utf-8", "replace")
            yield content.decode("latin-1")
    units = secret.encode("utf-16-be", "surrogatepass")
    yield "".join(chr(int.from_bytes(units[at : at + 2])) for at in range(0, len(units), 2))


def _bytes_of(secret: str) -> Iterator[bytes]:
    for encoding in ("utf-8", "latin-1"):
        with suppress(UnicodeEncodeError):
            yield secret.encode(encoding)


def _decoded(content: bytes) -> Iterator[str]:
    for encoding in ("utf-8", "latin-1"):
        with suppress(UnicodeDecodeError):
            yield content.decode(encoding)


def _encoded(name: str, content: bytes) -> Iterator[_Form]:
    """In hexadecimal and in base64, on its own or within something longer."""
    if len(content) < SHORTEST:
        return
    yield _Form(content.hex(), name, is_exact=False)
    for before in range(3):
        # Six bits a character: those that also depend on the neighbours are left out.
        text = base64.b64encode(bytes(before) + content).decode()
        yield _Form(text[-(-8 * before // 6) : 8 * (before + len(content)) // 6], name, is_exact=True)
