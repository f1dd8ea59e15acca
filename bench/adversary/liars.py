"""Targets that give wrong answers, always or only to some clients or at some times. None of them may PASS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.adversary.bank import JSON, Answer
from bench.adversary.play import running
from bench.adversary.scenarios import of
from bench.adversary.scripts import always, fields, only, paths, says, twisted

if TYPE_CHECKING:
    from bench.adversary.case import Case, Check, Played
    from bench.adversary.wire import Request, Script, Wire

PAYING = of("transactions", "balance")
HOOKED = of("webhooks", "balance")
DEEP = "[" * 1000 + "]" * 1000


def _never(outcome: str) -> Check:
    """No request may have this outcome: the target always answered."""

    def check(played: Played) -> Iterator[str]:
        if count := played.outcomes().get(outcome):
            yield f"{count} requests ended as {outcome}"

    return check


def _one_id(_: Request, answer: Answer) -> Answer:
    """All payments have the same id."""
    if answer.status != 201:
        return answer
    return replace(answer, content={**answer.content, "id": "1"}, headers=(*JSON, ("Location", "/transactions/1")))


def _a_cent_more(request: Request, answer: Answer) -> Answer:
    return answer.changed(amount=answer.content["amount"] + 1) if request.path == "/transactions" else answer


def _changed_since(request: Request, answer: Answer) -> Answer:
    """A payment reads back with another amount."""
    return answer.changed(amount=1) if request.method == "GET" and "amount" in answer.content else answer


def _another_location(_: Request, answer: Answer) -> Answer:
    return replace(answer, headers=(*JSON, ("Location", "/transactions/0000"))) if answer.status == 201 else answer


def _no_location(_: Request, answer: Answer) -> Answer:
    return replace(answer, headers=JSON)


def _wandering(request: Request, answer: Answer) -> Answer:
    """A balance that grows without any payment."""
    return answer.changed(balance=request.number) if "balance" in answer.content else answer


def _anothers(_: Request, answer: Answer) -> Answer:
    return answer.changed(account="acct-000000") if "account" in answer.content else answer


def _all_null(_: Request, answer: Answer) -> Answer:
    return replace(answer, content=dict.fromkeys(answer.content))


def _cut(_: Request, answer: Answer) -> Answer:
    return replace(answer, body=answer.payload()[:-3])


def _status(status: int) -> Any:
    """The right body with another status."""
    return twisted(lambda _, answer: replace(answer, status=status))


def _nulls() -> tuple[Case, ...]:
    """Valid JSON that says nothing."""
    return tuple(
        running("null", f"null {what}", f"answers null: {what}", script=only(paths(path), then), scenario=plan)
        for what, path, then, plan in (
            ("as health", "/health", says("null"), of("health", "balance")),
            ("as status", "/health", fields(status=None), of("health", "balance")),
            ("as balance", "/balance", fields(balance=None), of("balance")),
            ("in each field of a payment", "/transactions", twisted(_all_null), PAYING),
            ("as duplicate", "/webhooks", fields(duplicate=None), HOOKED),
            ("as id of a payment", "/transactions", fields(id=None), PAYING),
        )
    )


def _no_numbers() -> tuple[Case, ...]:
    return tuple(
        running(
            "not a number",
            f"balance {name}",
            f"a balance of {name}",
            script=only(paths("/balance"), says_balance(text)),
            scenario=of("balance"),
        )
        for name, text in (
            ("Infinity", '"Infinity"'),
            ("NaN", "NaN"),
            ("true", "true"),
            ("1e999", "1e999"),
            ("empty text", '""'),
            ("an object", "{}"),
        )
    )


def says_balance(text: str) -> Any:
    """The requested account, with this as its balance."""
    return lambda _: _own_account(text)


def _own_account(text: str) -> Script:
    async def script(request: Request, wire: Wire) -> None:
        account = request.path.rpartition("/")[2]
        await wire.send(
            Answer(None, body=f'{{"account": "{account}", "balance": {text}, "currency": "EUR"}}'.encode()).whole()
        )

    return script


CASES = (
    *_nulls(),
    *_no_numbers(),
    running(
        "nested JSON",
        "1,000 levels deep",
        "JSON nested too deeply for most parsers",
        script=only(paths("/health"), says(DEEP)),
        scenario=of("health", "balance"),
    ),
    running(
        "nested JSON",
        "100,000 levels deep",
        "the same, even deeper",
        script=only(paths("/health"), says("[" * 100_000)),
        scenario=of("health", "balance"),
    ),
    running("other JSON", "an empty object", "{} for every request", script=only(always, says("{}"))),
    running("other JSON", "an empty list", "[] for every request", script=only(always, says("[]"))),
    running(
        "not JSON",
        "an error page",
        "200 with an HTML page that apologises",
        script=only(always, says("<h1>Sorry</h1>", 200, (("Content-Type", "text/html"),))),
    ),
    running("not JSON", "an empty body", "200 with an empty body", script=only(always, says(""))),
    running(
        "not JSON",
        "truncated JSON",
        "the length is right, but the end of the JSON is missing",
        script=only(always, twisted(_cut)),
    ),
    running(
        "not JSON", "not UTF-8", "bytes that are not valid text", script=only(always, says(b'{"status": "\xff\xfe"}'))
    ),
    running("wrong status", "204", "204 without content for every request", script=only(always, says("", 204, ()))),
    running(
        "wrong status",
        "500 with the right body",
        "the answer is right, but the status is wrong",
        script=only(always, _status(500)),
    ),
    running(
        "wrong status",
        "202 for a payment",
        "202 where 201 is expected",
        script=only(paths("/transactions"), _status(202)),
        scenario=PAYING,
    ),
    running(
        "undefined status",
        "status 600",
        "a status outside all classes counts as an answer, not as a broken connection",
        script=only(always, _status(600)),
        also=(_never("connection"),),
    ),
    running(
        "wrong payment",
        "a cent more",
        "books a different amount from the one ordered",
        script=only(always, twisted(_a_cent_more)),
        scenario=PAYING,
    ),
    running(
        "wrong payment",
        "changed afterwards",
        "a payment reads back with a different amount",
        script=only(paths("/transactions/"), twisted(_changed_since)),
        scenario=of("transactions"),
    ),
    running(
        "wrong payment",
        "one id for all",
        "every payment gets the id 1 and reads back as the last one",
        script=only(always, twisted(_one_id)),
        scenario=of("transactions"),
    ),
    running(
        "Location header",
        "location of another payment",
        "Location points to another payment",
        script=only(always, twisted(_another_location)),
        scenario=PAYING,
    ),
    running(
        "Location header",
        "no location",
        "there is no Location header",
        script=only(always, twisted(_no_location)),
        scenario=PAYING,
    ),
    running(
        "wrong balance",
        "a balance that drifts",
        "the balance grows although nobody pays",
        script=only(always, twisted(_wandering)),
        scenario=of("balance"),
    ),
    running(
        "wrong balance",
        "another account's balance",
        "answers for a different account",
        script=only(always, twisted(_anothers)),
        scenario=of("balance"),
    ),
    running(
        "webhooks",
        "treats every event as new",
        "never reports a duplicate",
        script=only(paths("/webhooks"), fields(duplicate=False)),
        scenario=of("webhooks")
        | {"thresholds": [{"expect": "error_ratio < 3 %"}, {"expect": "goodput_ratio >= 80 %"}]},
    ),
    running(
        "webhooks",
        "treats no event as new",
        "always reports a duplicate",
        script=only(paths("/webhooks"), fields(duplicate=True)),
        scenario=of("webhooks"),
    ),
)
