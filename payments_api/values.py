"""Parsers of setting values; ValueError says what to write instead."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Read = Callable[[str, Callable[[str], Any]], Any]
"""Takes a variable's name and a parser, returns the value; None if it was invalid, and the error is recorded."""


def whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,7}", text, re.ASCII) or not low <= int(text) <= high:
            raise ValueError(f"give a number from {low} to {high}")
        return int(text)

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not re.fullmatch(r"\d{1,7}(\.\d{1,6})?", text, re.ASCII) or not low <= float(text) <= high:
            raise ValueError(f"give a number from {low:g} to {high:g}")
        return float(text)

    return parse


def matching(pattern: str, remedy: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(remedy)
        return text

    return parse


def networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("write networks like 10.0.0.0/8, comma-separated") from None
