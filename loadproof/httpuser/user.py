"""Locust's HttpUser with a client that costs a fraction of the CPU time: `from loadproof import HttpUser`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import locust
from locust.exception import StopTest

from loadproof.httpuser.session import HttpSession
from loadproof.httpuser.unsupported import not_supported
from loadproof.users import entrance

if TYPE_CHECKING:
    from gevent.greenlet import Greenlet
    from gevent.pool import Group
    from locust.env import Environment

entrance.stand_guard()


class HttpUser(locust.HttpUser):
    """Locust's HttpUser with its tasks, hooks and `rest`; only `client` is loadproof's. See docs/httpuser.md."""

    abstract = True
    client: HttpSession

    def __init__(self, environment: Environment, *positional: Any, **named: Any) -> None:
        """StopTest without a host, as in Locust; NotSupportedError if `pool_manager` is set."""
        # Skips Locust's HttpUser, which would create its own client.
        super(locust.HttpUser, self).__init__(environment, *positional, **named)
        if self.host is None:
            raise StopTest("no host: set `host` in the user class, or give --host")
        if self.pool_manager is not None:
            raise not_supported("HttpUser.pool_manager")
        self.client = HttpSession(self.host, environment.events.request, self)

    def start(self, group: Group) -> Greenlet:
        """As Locust's; also closes the user's connections when it ends."""
        greenlet: Any = super().start(group)
        greenlet.rawlink(lambda _: self.client.close())
        return greenlet
