"""The forms in which a text may contain a secret, however a server or a log encoded it; pure."""

from __future__ import annotations

import base64
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST: Final = 4
"""Characters; anything shorter would be found in every text."""
_SHORTEST_PART: Final = 8
"""Of the parts of a value like `Bearer …` or `id=…; key=…`; shorter ones are words."""
_PARTS: Final = re.compile(r"[\s,;=:]+")
_KEY_PREFIX: Final = "whsec_"
_LOWER: Final = {code: chr(code).lower() for code in range(256) if len(chr(code).lower()) == 1}
"""Letter by letter: `lower()` can change a text's length."""
_STANDARD: Final = str.maketrans("-_", "+/")
"""Base64's URL-safe alphabet to the standard one. Source: RFC 4648, section 5."""


class SecretForm(NamedTuple):
    """One way in which a secret may be written."""

    text: str
    name: str
    """The environment variable that has the secret."""
    is_exact: bool
    """Upper and lower case differ, as in base64."""


def forms_of(name: str, value: str) -> set[SecretForm]:
    """All forms of the value that are long enough to look for."""
    return {form for form in _forms(name, value) if len(form.text) >= SHORTEST}


def searched(text: str) -> dict[bool, str]:
    """The text to search, by a form's `is_exact`: in base64's standard alphabet, and in lower case."""
    return {True: text.translate(_STANDARD), False: text.translate(_LOWER)}


def _forms(name: str, value: str) -> Iterator[SecretForm]:
    for secret in _secrets_in(value):
        for text in _readings(secret):
            yield SecretForm(text.translate(_LOWER), name, is_exact=False)
        for text in {secret, *(json.dumps(secret, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False))}:
            # Also as JSON writes it, because JSON is what gets encoded in base64.
            for content in _bytes_of(text):
                yield from _encoded(name, content)
    for key in _keys_in(value):
        yield from _encoded(name, key)


def _secrets_in(value: str) -> set[str]:
    """The value, its parts, and what it decodes to as base64: a Basic credential, and the password in it."""
    texts = {value, value.strip(), *(part for part in _PARTS.split(value) if len(part) >= _SHORTEST_PART)}
    for key in _keys_in(value):
        for decoded in filter(str.isprintable, _decoded(key)):
            texts |= {decoded, decoded.partition(":")[2]}
    return texts


def _keys_in(value: str) -> Iterator[bytes]:
    """What the value, or a part of it between spaces, decodes to as base64."""
    for text in {value, *value.split()}:
        written = text.removeprefix(_KEY_PREFIX).translate(_STANDARD).rstrip("=")
        try:
            key = base64.b64decode(written + "=" * (-len(written) % 4), validate=True)
        except ValueError:
            continue
        if len(key) >= SHORTEST:
            yield key


def _readings(secret: str) -> Iterator[str]:
    """As sent, as UTF-8 misread as Latin-1 or vice versa, with '+' for spaces, and in UTF-16 units as in JSON."""
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


def _encoded(name: str, content: bytes) -> Iterator[SecretForm]:
    """In hexadecimal and in base64, on its own or within something longer."""
    if len(content) < SHORTEST:
        return
    yield SecretForm(content.hex(), name, is_exact=False)
    for before in range(3):
        # Six bits a character: those that also depend on the neighbours are left out.
        text = base64.b64encode(bytes(before) + content).decode()
        yield SecretForm(text[-(-8 * before // 6) : 8 * (before + len(content)) // 6], name, is_exact=True)
