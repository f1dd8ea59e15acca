"""Each client reports this machine's own lack of resources as such, and never a failure of the target."""

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
def test_a_lack_of_ports_is_our_own_failure(client):
    """The system's error for an address without a free port is the same as for an address that doesn't exist."""
    with serving(answering(OK)) as url, pytest.raises(WantError, match="the generator's own: no free port") as told:
        exchange(client, url, source_address=ELSEWHERE)
    assert told.value.of == "ports"


@CLIENTS
def test_a_lack_of_files_is_our_own_failure(client):
    """A socket is a file, too."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(answering(OK, OK)) as url:
        assert exchange(client, url).status == 200
        try:
            # Files that are open stay open.
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
def test_each_lack_has_its_name(error, of):
    """By the errors of connect(2), socket(2) and send(2)."""
    assert failure_of(error).of == of


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.EHOSTUNREACH])
def test_other_errors_are_the_targets_failure(number):
    """Connections refused or reset, or no route."""
    assert type(failure_of(OSError(number, "x"))) is ConnectionFailedError
