"""Tracks the requests that greenlets of plain users wait for, as far as they use Locust's own clients."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenlet import greenlet

    from loadproof.generator.plainlocust.lives import PlainRequest
    from loadproof.users.post import Post


class InFlight:
    """One per process: requests in flight, by the greenlet that waits for them."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._by_greenlet: defaultdict[greenlet, list[PlainRequest]] = defaultdict(list)
        """Innermost last: each request is sent in order to answer the one before it."""

    def begin(self, waiting: greenlet, request: PlainRequest) -> None:
        self._by_greenlet[waiting].append(request)
        self._post.recorder.waiting_begins()

    def last(self, waiting: greenlet) -> PlainRequest | None:
        """The innermost request that this greenlet waits for; None if there is none."""
        return self._by_greenlet[waiting][-1] if waiting in self._by_greenlet else None

    def all(self) -> list[tuple[greenlet, PlainRequest]]:
        return [(waiting, request) for waiting, requests in self._by_greenlet.items() for request in requests]

    def end(self, waiting: greenlet, request: PlainRequest) -> bool:
        """The greenlet stops waiting for this request; returns False if it no longer was."""
        if request not in self._by_greenlet.get(waiting, ()):
            return False
        self._by_greenlet[waiting].remove(request)
        if not self._by_greenlet[waiting]:
            del self._by_greenlet[waiting]
        self._post.recorder.waiting_ends()
        return True
