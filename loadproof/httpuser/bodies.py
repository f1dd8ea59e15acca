"""What a locustfile's fields, JSON and files are sent as, as far as requests isn't needed for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from loadproof.internals.requests import encode_files, encode_form, encode_json

_FORM: Final = b"Content-Type: application/x-www-form-urlencoded\r\n"
_JSON: Final = b"Content-Type: application/json\r\n"
_ONE_VALUE: Final = frozenset({str, int, float})


def encoded_body(data: Any, json: Any, files: Any) -> tuple[str | bytes, bytes]:
    """A body, and its Content-Type as a header; an empty one if requests has to encode it.

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
    """None if requests has to do it: what follows a fragment is no query, and a stray '%' changes how it is escaped."""
    if not isinstance(params, (Mapping, list, tuple)) or "#" in url or "%" in url or url.endswith("?"):
        return None
    encoded = _form_text(params)
    return f"{url}{'&' if '?' in url else '?'}{encoded}" if encoded else url


def _form_text(fields: Any) -> str:
    """What most forms and queries are, at a tenth of the price."""
    if type(fields) is dict and all(type(value) in _ONE_VALUE for value in fields.values()):
        return urlencode(fields)
    return encode_form(fields)


def _json_text(json: Any) -> bytes:
    try:
        return encode_json(json).encode()
    except ValueError:
        # Requests has to say so.
        return b""
