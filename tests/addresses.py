"""Requests to a target from any loopback address."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter


def session_from(address: str) -> requests.Session:
    """A session whose connections come from this loopback address."""

    class FromAddress(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, source_address=(address, 0), **kwargs)

    session = requests.Session()
    session.mount("http://", FromAddress())
    return session
