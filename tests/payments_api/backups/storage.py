"""S3-compatible storage as a real server on loopback, and what speaks to it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import boto3
from moto.server import ThreadedMotoServer

from payments_api.backups.places import Place, open_place

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
    """Its address."""
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
