"""A dry run of a plain locustfile: runs each of its users for a moment, and shows each kind of request they sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.pool import Group
from locust.env import Environment
from locust.user.task import filter_tasks_by_tags
from locust.util.load_locustfile import load_locustfile

from loadproof.generator.inspection.dryrequest import SENT_NOTHING, SHOWN_CHARACTERS, DryRequest
from loadproof.generator.inspection.plainlocustfile import startable
from loadproof.generator.plainlocust.heard import Heard, Names, outcome_of, status_of
from loadproof.internals.locustclients import body_read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadproof.scenario.masking.masking import Masker
    from loadproof.scenario.scenario import Scenario

_LONGEST_S: Final = 3.0
_MOST_REQUESTS: Final = 20
_CHECK_EVERY_S: Final = 0.05


def dry_requests_of(file: Path, base_url: str, scenario: Scenario, mask: Masker) -> Iterator[DryRequest]:
    """The first request of each kind and outcome, from one user of each class.

    If the classes have several hosts and the target is one of them, each keeps its own; otherwise all use the target.
    """
    found, _ = load_locustfile(str(file))
    users = startable(found)
    for user in users.values():
        filter_tasks_by_tags(user, set(scenario.tags or ()) or None, set(scenario.exclude_tags or ()) or None)
    environment = Environment(user_classes=list(users.values()))
    environment.create_local_runner()
    heard: list[dict[str, Any]] = []
    environment.events.request.add_listener(lambda **event: heard.append(event))
    hosts = {user.host.rstrip("/") for user in users.values() if user.host}
    names = Names()
    for user in users.values():
        if len(hosts) < 2 or base_url not in hosts:
            user.host = base_url
        heard.clear()
        _live(user(environment), heard)
        yield from _first_of_each(_request_in(event, names, mask) for event in heard[:_MOST_REQUESTS])
        if not heard:
            why = f"none of its requests ended within {_LONGEST_S:g} s"
            yield DryRequest(user.__name__, user.__name__, SENT_NOTHING, None, 0.0, reason=why, body="")


def _first_of_each(requests: Iterator[DryRequest]) -> list[DryRequest]:
    """Keep the first of equal requests, as a task that Locust picks again repeats them."""
    first: dict[object, DryRequest] = {}
    for sent in requests:
        method = sent.request.partition(" ")[0]
        first.setdefault((method, sent.endpoint, sent.outcome, sent.status), sent)
    return [*first.values()]


def _live(user: Any, heard: list[dict[str, Any]]) -> None:
    life = user.start(Group())
    with gevent.Timeout(_LONGEST_S, exception=False):
        while len(heard) < _MOST_REQUESTS and not life.ready():
            gevent.sleep(_CHECK_EVERY_S)
    life.kill()


def _request_in(event: dict[str, Any], names: Names, mask: Masker) -> DryRequest:
    response, exception = event.get("response"), event.get("exception")
    body = body_read(response)[: 4 * (SHOWN_CHARACTERS + mask.reach)].decode("utf-8", "replace")
    body, _ = mask.beginning(body, SHOWN_CHARACTERS)
    return DryRequest(
        endpoint=mask(str(event.get("name"))),
        request=mask(names.of(event.get("request_type"), event.get("url") or event.get("name"))),
        outcome=str(outcome_of(response, exception)),
        status=status_of(response),
        response_s=Heard.of(event).took_s or 0.0,
        reason=mask(str(exception or "")),
        body=body[:SHOWN_CHARACTERS],
    )
