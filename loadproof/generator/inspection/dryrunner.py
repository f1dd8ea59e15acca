"""The process of a dry run: runs each task once, and prints each request with its answer as a line of JSON.

Its argument is the directory of locustfiles, or a single Locust file; it reads the manifest from standard input.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from locust.env import Environment
from locust.exception import StopUser
from locust.util.load_locustfile import load_locustfile

from loadproof.generator.guards.hostguard import HostGuard
from loadproof.generator.guards.leftovers import end_children
from loadproof.generator.guards.maskedoutput import mask_outputs
from loadproof.generator.inspection.dryrequest import SENT_NOTHING, SHOWN_CHARACTERS, UNRECORDED, DryRequest
from loadproof.generator.inspection.plaindryrun import dry_requests_of
from loadproof.generator.plainlocust.targetterms import hand_terms
from loadproof.http.origin import Origin
from loadproof.plan.pacing import Due
from loadproof.recording.requestlistener import RequestListener
from loadproof.rundir.manifest import Manifest
from loadproof.users.post import THIS_PROCESS
from loadproof.users.tokenkeeper import token_keeper
from loadproof.users.user import ApiUser, like

if TYPE_CHECKING:
    from loadproof.http.answers import Answer
    from loadproof.http.messages import Timing
    from loadproof.outcome import Outcome
    from loadproof.scenario.masking.masking import Masker
    from loadproof.users.sending import Sender

_LEFT_S: Final = 0.1
"""How long to wait for a server that closes the connection after its answer."""


class _Noting(RequestListener):
    outcome = ""

    def finished(
        self,
        endpoint: str,  # noqa: ARG002
        method: str,  # noqa: ARG002
        outcome: Outcome,
        due: Due,  # noqa: ARG002
        timing: Timing,  # noqa: ARG002
        body_bytes: int,  # noqa: ARG002
    ) -> None:
        self.outcome = str(outcome)

    def unsent(self, endpoint: str, want: str, due: Due) -> None:  # noqa: ARG002
        self.outcome = "unsent"


class _Hearing:
    """Collects all requests reported to Locust, each with the outcome recorded just before."""

    def __init__(self, environment: Environment, noting: _Noting) -> None:
        self._noting = noting
        self._heard: list[tuple[str, dict[str, Any]]] = []
        environment.events.request.add_listener(self._hear)

    def _hear(self, **event: Any) -> None:
        self._heard.append((self._noting.outcome or UNRECORDED, event))
        self._noting.outcome = ""

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """The requests since the last call."""
        heard, self._heard = self._heard, []
        return heard


def _dry_run(manifest: Manifest, locustfiles: Path) -> list[DryRequest]:
    """Run the setup and each task of each user in the mix once; returns the requests they sent.

    For a single Locust file, returns what its users send first.
    """
    noting, environment = _Noting(), Environment()
    mask = THIS_PROCESS.assign(manifest, rank=0, workers=1, recorder=noting).mask
    hearing = _Hearing(environment, noting)
    requests: list[DryRequest] = []
    base_url = manifest.target.base_url
    if keeper := token_keeper(environment):
        keeper.obtain()
        requests += _requests_of(hearing, keeper, keeper.base_url)
    if manifest.scenario.locustfile is not None:
        hand_terms()
        return [*requests, *dry_requests_of(locustfiles, base_url, manifest.scenario, mask)]
    for endpoint, mix in manifest.scenario.mix.items():
        user_class = _user_class(locustfiles / f"{mix.like or endpoint}.py", base_url)
        user = (like(user_class, endpoint) if mix.like else user_class)(environment)
        with suppress(StopUser):
            user.on_start()
        requests += _requests_of(hearing, user, base_url)
        for task in dict.fromkeys(type(user).tasks):
            with suppress(StopUser):
                user.perform(Due(user.workload.now_s()), task)
            sent = _requests_of(hearing, user, base_url)
            requests += sent or [_nothing(endpoint, f"{type(user).__name__}.{task.__name__}")]
    return requests


def _requests_of(hearing: _Hearing, user: Sender, base_url: str) -> list[DryRequest]:
    """All requests the user has just sent."""
    user.post.clock.sleep(_LEFT_S)
    closes = not user.workload.clients.connections(user.identity, base_url).are_kept
    base_path = Origin.of(base_url).base_path
    mask = user.workload.mask
    requests = [_request_in(event, outcome, mask, base_path=base_path) for outcome, event in hearing.take()]
    return [replace(sent, closes=sent.status is not None and closes) for sent in requests]


def _user_class(file: Path, base_url: str) -> Any:
    user_classes, _ = load_locustfile(str(file))
    for user_class in user_classes.values():
        if issubclass(user_class, ApiUser):
            user_class.host = base_url
            return user_class
    raise LookupError(file.stem)


def _nothing(endpoint: str, task: str) -> DryRequest:
    return DryRequest(endpoint, task, SENT_NOTHING, None, 0.0, reason="the task ended without a request", body="")


def _request_in(event: dict[str, Any], outcome: str, mask: Masker, *, base_path: str) -> DryRequest:
    if outcome == UNRECORDED:
        return _unrecorded(event, mask)
    answer, error = event["response"], event["exception"]
    body = _text_of(answer)[: SHOWN_CHARACTERS + mask.reach] if answer else ""
    # Before cutting: half a secret wouldn't be found.
    body, _ = mask.beginning(body, SHOWN_CHARACTERS)
    return DryRequest(
        endpoint=event["name"],
        request=mask(f"{event['request_type']} {base_path}{event['url']}"),
        outcome=outcome,
        status=answer.status if answer else None,
        response_s=event["response_time"] / 1000,
        reason=mask(str(error or "")),
        body=body[:SHOWN_CHARACTERS],
    )


def _unrecorded(event: dict[str, Any], mask: Masker) -> DryRequest:
    """A request sent without `send` but reported to Locust; the fields of its event may be anything."""
    name, kind, took_ms = (event.get(key) for key in ("name", "request_type", "response_time"))
    return DryRequest(
        endpoint=mask(str(name)),
        request=mask(f"{kind} {name}"),
        outcome=UNRECORDED,
        status=None,
        response_s=float(took_ms or 0) / 1000,
        reason="not sent by `self.send`: no threshold would read it",
        body="",
    )


def _text_of(answer: Answer) -> str:
    try:
        return answer.body.decode("utf-8", "replace")
    except ValueError as error:
        return str(error)


if __name__ == "__main__":
    output = sys.stdout
    THIS_PROCESS.masks.append(mask_outputs())
    HostGuard().install()
    # What users print is not part of the output.
    with redirect_stdout(sys.stderr):
        requests = _dry_run(Manifest.model_validate_json(sys.stdin.read()), Path(sys.argv[1]))
    for sent in requests:
        output.write(json.dumps(asdict(sent)) + "\n")
    end_children()
