"""Turns whatever a user wants to send into a body's bytes and the Content-Type that says how to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from loadproof.api.payloads import encode_json

Form = Mapping[str, str | Sequence[str]]
"""Field names to their values."""
File = tuple[str, bytes] | tuple[str, bytes, str]
"""File name, content, and media type, which otherwise follows from the name."""
_JSON: Final = {"Content-Type": "application/json"}
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


def encoded_body(body: object, form: Form | None, files: Mapping[str, File] | None) -> tuple[bytes, dict[str, str]]:
    """Bytes and headers; ValueError if there is more than one body."""
    if body is not None and (form is not None or files is not None):
        raise ValueError("a request has one body: give `body`, or `form` and `files`")
    if files is not None:
        # Locust's processes have loaded it; others never send a file, and would only start more slowly.
        from urllib3.filepost import encode_multipart_formdata

        content, content_type = encode_multipart_formdata([*_fields_of(form or {}), *files.items()])
        return content, {"Content-Type": content_type}
    if form is not None:
        return urlencode(form, doseq=True).encode(), _FORM
    if isinstance(body, bytes):
        return body, {}
    return (b"", {}) if body is None else (encode_json(body), _JSON)


def _fields_of(form: Form) -> list[tuple[str, str]]:
    """One for each value."""
    return [
        (name, value) for name, values in form.items() for value in ([values] if isinstance(values, str) else values)
    ]
