"""S3-compatible storage: a real server on loopback, and clients for it."""

from __future__ import annotations

import logging
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import boto3
from moto.server import ThreadedMotoServer

from payments_api.backups.storage.places import Place, open_place
from tests.servers import serving

KEY_ID, SECRET = "AKIDOFTHETESTS", "secret/of+the/tests"


@dataclass(frozen=True)
class Storage:
    endpoint: str
    bucket: str

    @property
    def where(self) -> str:
        return f"s3://{self.bucket}/some/prefix"

    @property
    def environment(self) -> dict[str, str]:
        return credentials(self.endpoint)

    @property
    def place(self) -> Place:
        return open_place(self.where, self.environment)

    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )

    def listed(self) -> list[str]:
        return [entry["Key"] for entry in self.client().list_objects_v2(Bucket=self.bucket).get("Contents", [])]


def credentials(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": endpoint,
    }


@contextmanager
def running_storage() -> Iterator[str]:
    """Run the storage server; yields its address."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def new_bucket(endpoint: str) -> Storage:
    storage = Storage(endpoint, f"backups-{uuid.uuid4().hex[:12]}")
    storage.client().create_bucket(Bucket=storage.bucket)
    return storage


@contextmanager
def slowly(endpoint: str, *, bytes_per_s: float) -> Iterator[str]:
    """A proxy to the storage that limits each connection to this rate per direction; yields its address."""
    there = urlsplit(endpoint)

    def carry(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(16_384):
                time.sleep(len(chunk) / bytes_per_s)
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)

    def script(connection: socket.socket, _: int) -> None:
        with socket.create_connection((there.hostname, there.port)) as storage:
            up = threading.Thread(target=carry, args=(connection, storage), daemon=True)
            up.start()
            carry(storage, connection)
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            up.join(10)

    with serving(script) as url:
        yield url
