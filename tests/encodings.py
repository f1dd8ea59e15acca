"""Encodings in which servers, logs and locustfiles may show a text, by name."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": lambda text: "".join(c.upper() if c.isascii() else c for c in text),
    "lower case": str.lower,
    "HTML": html.escape,
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(c):X};" for c in text),
    "HTML, decimal": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "HTML twice": lambda text: html.escape(html.escape(text)),
    "percent": lambda text: quote(text, safe=""),
    "percent, lower case": lambda text: quote(text, safe="").lower(),
    "percent, form": quote_plus,
    "percent, each byte": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "JSON": json.dumps,
    "JSON, not ASCII": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON with \\/": lambda text: json.dumps(text).replace("/", "\\/"),
    "JSON, each character": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"told": text})),
    "JSON in HTML": lambda text: html.escape(json.dumps({"told": text})),
    "Python": repr,
    "Python's bytes": lambda text: repr(text.encode("latin-1")),
    "UTF-8 read as Latin-1": lambda text: text.encode().decode("latin-1"),
    "Latin-1 read as UTF-8": lambda text: text.encode("latin-1").decode(errors="replace"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs, shifted by one": lambda text: base64.urlsafe_b64encode(b"x" + text.encode() + b"y").decode(),
    "base64, shifted by two": lambda text: base64.b64encode(b"xy" + text.encode("latin-1")).decode(),
    "base64 of JSON": lambda text: base64.b64encode(json.dumps({"told": text}, ensure_ascii=False).encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, upper case": lambda text: text.encode("latin-1").hex().upper(),
}
