"""A locustfile whose code shows all the secrets that it can read, in every encoding."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from locust import task

from loadproof.users.user import ApiUser, expect
from tests.encodings import ENCODINGS

if TYPE_CHECKING:
    from loadproof.api.calls import Reply

SECRETS = [os.environ[name] for name in os.environ["LEAKED"].split()]
TEXTS = [encoded(value) for value in SECRETS for encoded in ENCODINGS.values()]
sys.stdout.write(f"loaded with {TEXTS}\n")


def quote(reply: Reply) -> None:
    expect(reply["status"] == "ok", f"unexpected answer {reply['status']!r}")


class Leaker(ApiUser):
    endpoint = "leak"
    times = 0

    @task
    def leak(self) -> None:
        Leaker.times += 1
        text = TEXTS[Leaker.times % len(TEXTS)]
        for piece in ("printed ", text[:3], text[3:], " in pieces\n"):
            sys.stdout.write(piece)
        sys.stderr.write(f"{text}\n")
        note = {"leaked": text, "told": lambda reply: reply["status"], "in": [SECRETS]}
        self.send(self.api.call("GET", f"/leak/{Leaker.times}", note=note), quote)
        self.send(self.api.call("GET", f"/leak/0?key={SECRETS[0]}"), lambda _: expect(condition=False, reason=text))
        # Not in a dry run, which would end here, and knows only requests sent with `self.send`.
        if Leaker.times > 1:
            event = {"request_type": "GET", "response_time": 1, "response_length": 1, "context": {}}
            self.environment.events.request.fire(**event, name=f"own {SECRETS[1]}", exception=f"own {text}")
            if Leaker.times % 10 == 2:
                # Not as arguments, which any list of processes shows.
                subprocess.run(["cat"], input=f"printed by a child: {' '.join(SECRETS)}\n", text=True, check=True)
            raise RuntimeError(text)
