"""Encodes a request's form fields, JSON and files, as far as requests isn't needed for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from loadproof.internals.requests import encode_files, encode_form, encode_json

_FORM: Final = b"Content-Type: application/x-www-form-urlencoded\r\n"
_JSON: Final = b"Content-Type: application/json\r\n"
_ONE_VALUE: Final = frozenset({str, int, float})


def encoded_body(data: Any, json: Any, files: Any) -> tuple[str | bytes, bytes]:
    """A body, and its Content-Type header line; an empty body if requests has to encode it.

    Source: requests 2.34, PreparedRequest.prepare_body.
    """
    is_form = isinstance(data, (Mapping, list, tuple))
    if files and (is_form or not data):
        body, kind = encode_files(files, data)
        return body, f"Content-Type: {kind}\r\n".encode("latin-1")
    if not data:
        return _json_text(json), _JSON
    if isinstance(data, (str, bytes)) and not files:
        return data, b""
    return (_form_text(data), _FORM) if is_form else (b"", b"")


def with_params(url: str, params: Any) -> str | None:
    """The URL with a query; None if requests has to do it, because of a fragment or a '%' that may change escaping."""
    if not isinstance(params, (Mapping, list, tuple)) or "#" in url or "%" in url or url.endswith("?"):
        return None
    encoded = _form_text(params)
    return f"{url}{'&' if '?' in url else '?'}{encoded}" if encoded else url


def _form_text(fields: Any) -> str:
    """Encoded fields, at a tenth of the cost for simple dicts, which most forms and queries are."""
    if type(fields) is dict and all(type(value) in _ONE_VALUE for value in fields.values()):
        return urlencode(fields)
    return encode_form(fields)


def _json_text(json: Any) -> bytes:
    try:
        return encode_json(json).encode()
    except ValueError:
        # Let requests report it.
        return b""
