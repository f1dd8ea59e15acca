"""The cost of a row of the journal: when the request is sent, and at the end of its second.

python -m bench.journal        writes bench/results/journal.json
"""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any, Final

from loadproof.internals import locust  # noqa: F401 - imported first, because it patches

from loadproof.http.answers import Answer  # isort: skip
from bench.serving import machine, write_results
from loadproof.scenario.masking.masking import NOTHING_SECRET, Masker
from simulation.playeduser import PlayedUser

if TYPE_CHECKING:
    from loadproof.api.calls import Call
    from loadproof.http.messages import Request, Timing

REQUESTS: Final = 2_000
ROUNDS: Final = 41
LIMITS: Final = {"ratelimit": '"transactions";r=5;t=30', "ratelimit-policy": '"transactions";q=10;w=60'}
HEALTH, BALANCE, PAYMENT = "health", "balance", "payment"
BODIES: Final = {
    HEALTH: b'{"status":"ok"}',
    BALANCE: b'{"account":"acct-000000","balance":100000,"currency":"EUR"}',
    PAYMENT: (
        b'{"id":"pay_0123456789abcdef","debit":"acct-000001","credit":"acct-000002","amount":4200,'
        b'"currency":"EUR","created_at":"2026-11-29T22:00:00Z"}'
    ),
}
SECRETS: Final = Masker({"API_TOKEN": "a-token-of-the-usual-length", "HOOK_SECRET": "whsec_bG9hZHByb29mLXNlY3JldA"})


class Answered(PlayedUser):
    """A user whose requests are answered at once, each with a different response time."""

    body = b""
    times = 0

    def exchange(self, _: Request, timing: Timing) -> Answer:
        self.times += 1
        timing.began_s = timing.sent_s = 0.000997 * self.times
        timing.ended_s = timing.sent_s + 0.001 + 1e-6 * (7919 * self.times % 1000)
        return Answer(201 if self.body == BODIES[PAYMENT] else 200, LIMITS, self.body)


def main() -> None:
    kinds = {
        "a health check, with nothing but its limits to note": (HEALTH, NOTHING_SECRET),
        "a balance": (BALANCE, NOTHING_SECRET),
        "a payment": (PAYMENT, NOTHING_SECRET),
        "a payment, with two secrets to look for": (PAYMENT, SECRETS),
    }
    gc.freeze()
    gc.disable()
    rows = [{"kind": kind, **costs(*how)} for kind, how in kinds.items()]
    write_results("journal", {**machine(), "command": "make bench", "rounds": ROUNDS, "rows": rows})


def costs(kind: str, mask: Masker) -> dict[str, float]:
    """CPU time per request in µs: the minimum of several rounds, since noise only ever adds."""
    rounds = [[once(kind, mask, **record) for record in ({}, {"record": "requests"})] for _ in range(ROUNDS)]
    without, within = (list(zip(*column, strict=True)) for column in zip(*rounds, strict=True))
    sent_us, later_us = (round(min(within[part]) - min(without[part]), 2) for part in (0, 1))
    return {"sent_us": sent_us, "later_us": later_us, "bytes": round(within[2][0], 1)}


def once(kind: str, mask: Masker, **record: Any) -> tuple[float, float, float]:
    """Per request: µs to send and check, µs for the report, and the compressed bytes of its journal."""
    played = Answered(mix={"health": {"share": "100 %", "every": "2 s"}}, **record)
    played.body = BODIES[kind]
    user, recorder = played.user, played.recorder
    recorder.feeds_locust, recorder.only_counts = True, not recorder.journals
    # A real mask would come from a target file. Nothing else runs here, so there is nobody to yield to.
    journal_rows = vars(recorder)["_journal_rows"]
    vars(journal_rows)["_mask"] = mask
    for each in (recorder, journal_rows):
        vars(each)["_let_others_run"] = lambda: None
    calls = [_call(user.api, kind, number) for number in range(REQUESTS)]
    began_s = time.process_time()
    for call in calls:
        # Outside of any turn, these count as setup, which doesn't wait.
        user.send(call, _check)
    sent_s = time.process_time()
    report = recorder.take(21.0, 1)
    done_s = time.process_time()
    return (sent_s - began_s) / REQUESTS * 1e6, (done_s - sent_s) / REQUESTS * 1e6, len(report.journal) / REQUESTS


def _call(api: Any, kind: str, number: int) -> Call:
    if kind == PAYMENT:
        key = f"{number:08x}-7f3a-4c11-9b5e-{number * 7919 % 2**48:012x}"
        call: Call = api.pay(debit="acct-000001", credit="acct-000002", amount=4200, key=key)
        return call
    read: Call = api.ask_health() if kind == HEALTH else api.read_balance("acct-000000")
    return read


def _check(reply: Any) -> None:
    reply.told()


if __name__ == "__main__":
    main()
