"""A name's addresses are reused for a minute, and for longer if the resolver fails."""

from __future__ import annotations

import socket

import pytest

from loadproof.http.origin import Origin

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]
ADDRESSES = [(socket.AF_INET, ("192.0.2.1", 80))]


class Late(BaseException):
    """Like gevent.Timeout: ends a wait from outside."""


class Machine:
    """A clock, and a resolver with scripted answers; the last one stays."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.asked = 0
        self.origin = Origin.of("http://api.example")

    def addresses(self, answer: list[tuple] | BaseException = ANSWER, at_s: float = 0.0) -> object:
        """What the origin's next connection at this time goes to, if the resolver were to answer this."""
        self.now_s = at_s

        def resolve(*_: object, **__: object) -> list[tuple]:
            self.asked += 1
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return self.origin.addresses(resolve)


@pytest.fixture
def machine(monkeypatch):
    machine = Machine()
    monkeypatch.setattr("loadproof.http.origin.time.monotonic", lambda: machine.now_s)
    return machine


def test_addresses_are_reused_for_a_minute(machine):
    """Also by the connections that come while the resolver is asked again."""
    meanwhile = []

    def resolve(*_: object, **__: object) -> list[tuple]:
        meanwhile.append(machine.addresses(at_s=61.0))
        return ANSWER

    assert [machine.addresses(at_s=at_s) for at_s in (0.0, 59.0)] == [ADDRESSES] * 2
    machine.now_s = 61.0
    assert machine.origin.addresses(resolve) == ADDRESSES
    assert (meanwhile, machine.asked) == ([ADDRESSES], 1)


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_AGAIN, "try again"), OSError("no buffer space")])
def test_a_resolver_that_fails_for_a_moment_takes_no_address_away(machine, error):
    """Only the first time is there nothing to go by."""
    with pytest.raises(OSError, match=str(error.strerror or error)):
        machine.addresses(error)
    assert machine.addresses() == ADDRESSES
    assert machine.addresses(error, at_s=61.0) == ADDRESSES


def test_a_resolver_that_is_silent_costs_one_connection(machine):
    """Whose time limit ends the wait; the others don't ask as well."""
    machine.addresses()
    with pytest.raises(Late):
        machine.addresses(Late(), at_s=61.0)
    assert machine.addresses(Late(), at_s=61.1) == ADDRESSES


def test_a_name_that_has_no_address_any_more_is_not_reached(machine):
    """The resolver says so, again and again."""
    machine.addresses()
    for at_s in (61.0, 62.0):
        with pytest.raises(OSError, match="not known"):
            machine.addresses(socket.gaierror(socket.EAI_NONAME, "Name or service not known"), at_s)
    assert machine.addresses(at_s=63.0) == ADDRESSES
