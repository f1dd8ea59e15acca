"""The process of a dry run: runs each task once and prints each request and its answer as lines of JSON.

Its argument is the directory of locustfiles; the manifest comes on standard input.
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

from loadproof.generator.look import SENT_NOTHING, Look
from loadproof.generator.maskedoutput import mask_outputs
from loadproof.http.origin import Origin
from loadproof.recording.norecorder import NoRecorder
from loadproof.rundir.manifest import Manifest
from loadproof.users import workload
from loadproof.users.user import ApiUser

if TYPE_CHECKING:
    from loadproof.http.answers import Answer
    from loadproof.http.messages import Timing
    from loadproof.outcome import Outcome
    from loadproof.plan.pacing import Due
    from loadproof.scenario.masking import Masker

_SHOWN_CHARACTERS: Final = 160
_LEFT_S: Final = 0.1
"""A server that closes a connection after its answer has done so by then."""


class _Noting(NoRecorder):
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


def _look(manifest: Manifest, locustfiles: Path) -> list[Look]:
    """Run each task of each user in the mix once, and note each request that it sent."""
    noting = _Noting()
    requests: list[tuple[str, dict[str, Any]]] = []
    workload.assign(manifest, rank=0, workers=1, recorder=noting)
    environment = Environment()
    # The outcome of each request is recorded just before.
    environment.events.request.add_listener(lambda **event: requests.append((noting.outcome, event)))
    looks: list[Look] = []
    base_path = Origin.of(manifest.target.base_url).base_path
    for endpoint in manifest.scenario.mix:
        user = _user_class(locustfiles / f"{endpoint}.py", manifest.target.base_url)(environment)
        for task in dict.fromkeys(type(user).tasks):
            with suppress(StopUser):
                task(user)
            user.post.clock.sleep(_LEFT_S)
            closes = not user.workload.connections(user.identity, manifest.target.base_url).are_kept
            sent = [_look_at(outcome, event, user.workload.mask, base_path=base_path) for outcome, event in requests]
            looks += [] if sent else [_nothing(endpoint, f"{type(user).__name__}.{task.__name__}")]
            looks += [replace(look, closes=look.status is not None and closes) for look in sent]
            requests.clear()
    return looks


def _user_class(file: Path, base_url: str) -> Any:
    user_classes, _ = load_locustfile(str(file))
    for user_class in user_classes.values():
        if issubclass(user_class, ApiUser):
            user_class.host = base_url
            return user_class
    raise LookupError(file.stem)


def _nothing(endpoint: str, task: str) -> Look:
    return Look(endpoint, task, SENT_NOTHING, None, 0.0, reason="the task ended without a request", body="")


def _look_at(outcome: str, event: dict[str, Any], mask: Masker, *, base_path: str) -> Look:
    answer, error = event["response"], event["exception"]
    body = _text_of(answer)[: _SHOWN_CHARACTERS + mask.reach] if answer else ""
    # Before it is cut: half a secret would not be found.
    body, _ = mask.beginning(body, _SHOWN_CHARACTERS)
    return Look(
        endpoint=event["name"],
        request=mask(f"{event['request_type']} {base_path}{event['url']}"),
        outcome=outcome,
        status=answer.status if answer else None,
        response_s=event["response_time"] / 1000,
        reason=mask(str(error or "")),
        body=body[:_SHOWN_CHARACTERS],
    )


def _text_of(answer: Answer) -> str:
    try:
        return answer.body.decode("utf-8", "replace")
    except ValueError as error:
        return str(error)


if __name__ == "__main__":
    output = sys.stdout
    mask_outputs()
    # What a user prints is not part of the output.
    with redirect_stdout(sys.stderr):
        looks = _look(Manifest.model_validate_json(sys.stdin.read()), Path(sys.argv[1]))
    for look in looks:
        output.write(json.dumps(asdict(look)) + "\n")
