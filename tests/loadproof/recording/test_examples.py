"""One example of each kind of error, limited in number and size, and without secrets."""

from __future__ import annotations

import json

import pytest

from loadproof.http.answers import Answer
from loadproof.http.messages import Request
from loadproof.recording.examples import MOST_KINDS, Examples
from loadproof.recording.reports import SecondReport
from loadproof.recording.runwriter import RunWriter
from loadproof.rundir import files
from loadproof.scenario.masking.masking import NOTHING_SECRET, Masker
from simulation.rundirs import manifest, scenario

SENT = {
    "Content-Type": "application/json",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN",
    "Stripe-Signature": "t=1700000000,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e7",
}
REQUEST = Request("POST", "/pay/7?key=c4nary", headers=SENT, body=b"{}")


def example(body: bytes, request: Request = REQUEST):
    examples = Examples(Masker({"TOKEN": "c4nary-env"}))
    examples.see("pay", request, Answer(500, {}, body), ValueError("status 500"))
    (seen,) = examples.take()
    return seen


def test_an_example_shows_the_request_and_the_beginning_of_the_answer():
    """The query may contain a token, and is left out."""
    assert example(b'{"detail": "no such table"}') == (
        "pay",
        "status 500",
        "POST /pay/7?…",
        500,
        '{"detail": "no such table"}',
    )
    assert example(b"x" * 10_000)[-1] == "x" * 200 + "…"
    assert example(b"\xff\x00\x1b[2J")[-1] == "\ufffd\x00\x1b[2J"


@pytest.mark.parametrize(
    "told",
    [
        *SENT.values(),
        "K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN",
        "5257a869e7ecebeda32affa62cdca3fa51cad7e7",
        "Bearer c4nary",
        "c4nary-env",
        'access_token": "c4nary c4nary',
        "Authorization: c4nary",
        "Set-Cookie: id=c4nary",
        "api_key=c4nary&x=1",
        json.dumps({"refreshToken": "c4nary", "password": 'c4n\\"ary'}),
        json.dumps(json.dumps({"client_secret": "c4nary"})),
    ],
)
def test_an_example_contains_no_secret(told):
    """Neither the request's signature, nor values after names typical of secrets."""
    body = example(f"failed: {told} ".encode())[-1]
    secrets = ("c4n", "ary", "K5oZ", "5257a8", "700000000")
    if told != SENT["Content-Type"]:
        assert [secret for secret in secrets if secret in body] == []
    assert body.startswith("failed: ")


def test_each_kind_has_one_example_and_kinds_are_limited():
    """The first; a target that words each error differently doesn't fill the disk."""
    examples = Examples(NOTHING_SECRET)
    for number in range(200):
        examples.see("pay", REQUEST, None, ValueError(f"reset {number // 2}"))
    taken = examples.take()
    assert len(taken) == MOST_KINDS
    assert taken[1] == ("pay", "reset 1", "POST /pay/7?…", None, "")
    assert examples.take() == []


def test_the_first_of_several_workers_examples_is_kept(tmp_path):
    """As an event on one line, whatever the answer contained."""
    writer = RunWriter(tmp_path, manifest(scenario()))
    for worker in ("1", "2"):
        seen = [("pay", "status 500", "POST /pay", 500, f'{worker}\n"no",')]
        writer.write(SecondReport(worker, 3.0, 0, 0, 0, 0, cells=[], generator=None, bursts=[], failures=seen))
    (line,) = files.read_lines_text(tmp_path / files.EVENTS).splitlines()[1:]
    assert '""body"": ""1\\n' in line


def test_a_secret_within_another_headers_secret_leaves_nothing_of_it():
    """Whichever header is sent first."""
    request = Request("POST", "/pay", headers={"X-Key": "abcdefgh", "X-Token": "abcdefgh-c4nary"}, body=b"{}")
    assert "c4nary" not in example(b"wrong: abcdefgh-c4nary", request)[-1]


@pytest.mark.parametrize("length", [40, 6_000])
def test_a_secret_at_the_end_of_what_is_read_is_masked_whole(length):
    """A text gets shorter where secrets are replaced, so what was read last may be shown."""
    token = "".join(chr(97 + number * 7 % 26) + str(number % 10) for number in range(length // 2))
    examples = Examples(Masker({"TOKEN": token}))
    examples.see("pay", REQUEST, Answer(500, {}, (f"bad {token} " * 300).encode()), ValueError("status 500"))
    body = examples.take()[0].body
    assert token[:8] not in body
    assert body.startswith("bad ${TOKEN}")
    assert body.endswith("…")
