"""A session's headers and cookies, which report changes, so that requests encoded with them are encoded again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.cookiejar import Cookie


def _nobody() -> None:
    """The default: nobody is notified."""


class WatchedHeaders(CaseInsensitiveDict[Any]):
    """Calls `changed` after each change."""

    changed: Callable[[], None] = staticmethod(_nobody)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self.changed()

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self.changed()


class WatchedCookies(RequestsCookieJar):
    """Calls `changed` after each change."""

    changed: Callable[[], None] = staticmethod(_nobody)

    def set_cookie(self, cookie: Cookie, *positional: Any, **named: Any) -> None:
        super().set_cookie(cookie, *positional, **named)
        self.changed()

    def clear(self, domain: str | None = None, path: str | None = None, name: str | None = None) -> None:
        super().clear(domain, path, name)
        self.changed()
