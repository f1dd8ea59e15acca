"""Hands what the target file says to clients that are not our own users'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.http.origin import Origin
from loadproof.httpuser import terms
from loadproof.httpuser.locusts import LocustsFastSession, LocustsSession
from loadproof.internals.locustclients import take_places
from loadproof.scenario.targetway import way_of
from loadproof.users.post import THIS_PROCESS

if TYPE_CHECKING:
    from loadproof.users.post import Post
    from loadproof.users.workload import Workload


def hand_terms(post: Post = THIS_PROCESS) -> None:
    """To all clients that are made from now on, of the run that this process has a part in by then.

    Locustfiles that are loaded from now on have Locust's clients with it.
    """
    take_places(LocustsSession, LocustsFastSession)
    terms.THIS_PROCESS.ask = lambda: terms_of(post.workload())


def terms_of(work: Workload) -> terms.Terms | None:
    """None if there is nothing to say of how a request is sent."""
    target, headers = work.target, work.api.headers
    # The report says that an https target was verified.
    is_https = target.base_url.startswith("https:")
    if not (headers or work.credential or is_https or target.proxy):
        return None
    return terms.Terms(Origin.of(target.base_url, way_of(target)), headers, work.credential)
