"""Makes clients of plain users follow the target file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.http.origin import Origin
from loadproof.httpuser import terms
from loadproof.httpuser.locusts import LocustsFastSession, LocustsSession
from loadproof.internals.locustclients import take_places
from loadproof.scenario.target.way import way_of
from loadproof.users.post import THIS_PROCESS

if TYPE_CHECKING:
    from loadproof.users.post import Post
    from loadproof.users.workload import Workload


def hand_terms(post: Post = THIS_PROCESS) -> None:
    """Apply the target file of this process's run to all clients created from now on.

    Locustfiles loaded from now on get Locust's clients with these terms.
    """
    take_places(LocustsSession, LocustsFastSession)
    terms.THIS_PROCESS.ask = lambda: terms_of(post.workload())


def terms_of(work: Workload) -> terms.Terms | None:
    """The target file's terms; None if it says nothing about how to send requests."""
    target, headers = work.target, work.api.headers
    # Always for https, because the report says that the target was verified.
    is_https = target.base_url.startswith("https:")
    if not (headers or work.credential or is_https or target.proxy):
        return None
    return terms.Terms(Origin.of(target.base_url, way_of(target)), headers, work.credential)
