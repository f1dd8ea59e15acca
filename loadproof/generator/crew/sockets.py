"""The sockets between master and workers: encrypted with keys from the run's secret, and watched for strangers.

A worker must know the master's public key to send anything. That key is derived from the secret and never stored or
sent, so only holders of the secret know it; the master proves its identity with the private key. ZeroMQ drops whatever
strangers send before Locust sees a byte. Source: ZeroMQ's RFC 26 (CurveZMQ); pyzmq 27, libzmq 4.3.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Literal

import gevent
import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from loadproof import variables
from loadproof.errors import ExitCode, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_REFUSALS_IN_A_ROW: Final = 3
"""More than one, because a master that is ending may cut a handshake short; ZeroMQ retries after 0.1 s."""
_REFUSED: Final = {zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL}
"""Both, because the side that first sees the handshake fail hangs up, and the other side learns no details."""


def key_pair(secret: str, role: Literal["master", "worker"]) -> tuple[bytes, bytes]:
    """A role's public and private key, in Z85.

    Any 32 bytes are a private key (RFC 7748, 5); these are HKDF-Expand's first block (RFC 5869, 2.3) over its name.
    """
    name = f"loadproof {role} 1".encode() + b"\x01"
    private = z85.encode(hmac.new(secret.encode(), name, hashlib.sha256).digest())
    return zmq.curve_public(private), private


class SocketKeys:
    """Makes Locust's sockets talk only to holders of the secret, which it removes from the environment."""

    def __init__(self) -> None:
        self._secret = os.environ.pop(variables.SECRET, "")
        self._listener_fd = os.environ.pop(variables.LISTENER_FD, "")

    def prepare(self, socket: Any) -> None:
        """Set up encryption; must be called before the socket is bound or connected."""
        if not self._secret or not zmq.has("curve"):
            why = "pyzmq was built without CURVE" if self._secret else "no secret"
            raise SystemExit(f"{why}: the processes of a run don't communicate unencrypted")
        master, master_private = key_pair(self._secret, "master")
        if socket.type == zmq.ROUTER:
            socket.curve_server = True
            socket.curve_publickey, socket.curve_secretkey = master, master_private
            if self._listener_fd:
                # Only once: by the time Locust reopens its socket, this descriptor is closed.
                socket.setsockopt(zmq.USE_FD, int(self._listener_fd))
                self._listener_fd = ""
            return
        socket.curve_serverkey = master
        socket.curve_publickey, socket.curve_secretkey = key_pair(self._secret, "worker")
        gevent.spawn(_leave_when_refused, socket.get_monitor_socket())


def watch_strangers(socket: Any, tell: Callable[[], None]) -> None:
    """Call `tell` when a connection to the master's socket has another secret or none; at most once a second."""
    gevent.spawn(_tell_of_strangers, socket.get_monitor_socket(), tell)


def _tell_of_strangers(monitor: Any, tell: Callable[[], None]) -> None:
    next_s = 0.0
    for event, _ in _events(monitor):
        if event in _REFUSED and time.monotonic() >= next_s:
            next_s = time.monotonic() + 1
            tell()


def _leave_when_refused(monitor: Any) -> None:
    """End this worker and print the reason if handshakes with the master keep failing."""
    refusals = 0
    for event, endpoint in _events(monitor):
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            refusals = 0
        elif event in _REFUSED:
            refusals += 1
        if refusals == _REFUSALS_IN_A_ROW:
            what = f"whatever listens there has a different {variables.SECRET}, or none"
            sys.stderr.write(f"{Problem(endpoint, what, 'give both sides the same')}\n")
            sys.stderr.flush()
            # Locust would retry for five minutes, in a loop that only ends with the process.
            os._exit(ExitCode.NOTHING_MEASURED)


def _events(monitor: Any) -> Iterator[tuple[int, str]]:
    """What happens to a socket, with the address concerned (its own or its peer's), until the socket is closed."""
    with monitor:
        while (event := parse_monitor_message(monitor.recv_multipart()))["event"] != zmq.EVENT_MONITOR_STOPPED:
            yield event["event"], event["endpoint"].decode(errors="replace").removeprefix("tcp://")
