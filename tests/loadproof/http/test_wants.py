"""What this machine has too little of is told as its own, by each client, and nothing that the target does is."""

from __future__ import annotations

import errno
import resource

import pytest

from tests.unpatched import locust  # isort: skip

from loadproof.http.blocking import BlockingConnection
from loadproof.http.connection import Connection
from loadproof.http.messages import ConnectionFailedError, Request, RequestTimeouts, Timing, WantError
from loadproof.http.origin import Origin
from loadproof.http.stream import failure_of
from tests.loadproof.http.connections import OK
from tests.servers import answering, serving

CLIENTS = pytest.mark.parametrize("client", [Connection, BlockingConnection])
assert locust
ELSEWHERE = "192.0.2.1"
"""An address that no machine has."""


def exchange(client, url: str, **settings: object):
    made = client(Origin.of(url), RequestTimeouts(5.0, 5.0), source_address=settings.get("source_address"), headers={})
    try:
        return made.exchange(Request("GET", "/"), Timing())
    finally:
        made.close()


@CLIENTS
def test_no_port_to_connect_from_is_ours(client):
    """The system's word for an address without a free port is that for one which isn't there."""
    with serving(answering(OK)) as url, pytest.raises(WantError, match="the generator's own: no free port") as told:
        exchange(client, url, source_address=ELSEWHERE)
    assert told.value.of == "ports"


@CLIENTS
def test_no_file_to_open_is_ours(client):
    """A socket is one."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(answering(OK, OK)) as url:
        assert exchange(client, url).status == 200
        try:
            # What is open stays so.
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
            with pytest.raises(WantError) as told:
                exchange(client, url)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert told.value.of == "files"


@pytest.mark.parametrize(
    ("error", "of"),
    [
        (OSError(errno.ENFILE, "x"), "files"),
        (OSError(errno.ENOBUFS, "x"), "memory"),
        (OSError(errno.ENOMEM, "x"), "memory"),
        (OSError(errno.EADDRINUSE, "x"), "ports"),
        (MemoryError(), "memory"),
    ],
)
def test_each_want_has_its_name(error, of):
    """As connect(2), socket(2) and send(2) tell it."""
    assert failure_of(error).of == of


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.EHOSTUNREACH])
def test_what_the_target_does_is_the_targets(number):
    """Refused, reset, gone."""
    assert type(failure_of(OSError(number, "x"))) is ConnectionFailedError
