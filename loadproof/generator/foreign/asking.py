"""Tracks the requests that greenlets of foreign users wait for, as far as they use Locust's own clients."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenlet import greenlet

    from loadproof.generator.foreign.lives import AskedRequest
    from loadproof.users.post import Post


class Asking:
    """One per process: requests in flight, by the greenlet that waits for them."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._asked: defaultdict[greenlet, list[AskedRequest]] = defaultdict(list)
        """By greenlet, innermost last: each request is sent in order to answer the one before it."""

    def begin(self, waiting: greenlet, asked: AskedRequest) -> None:
        self._asked[waiting].append(asked)
        self._post.recorder.waiting_begins()

    def last(self, waiting: greenlet) -> AskedRequest | None:
        """The innermost request that this greenlet waits for; None if there is none."""
        return self._asked[waiting][-1] if waiting in self._asked else None

    def all_asked(self) -> list[tuple[greenlet, AskedRequest]]:
        return [(waiting, asked) for waiting, all_asked in self._asked.items() for asked in all_asked]

    def end(self, waiting: greenlet, asked: AskedRequest) -> bool:
        """The greenlet stops waiting for this request; returns False if it no longer was."""
        if asked not in self._asked.get(waiting, ()):
            return False
        self._asked[waiting].remove(asked)
        if not self._asked[waiting]:
            del self._asked[waiting]
        self._post.recorder.waiting_ends()
        return True
