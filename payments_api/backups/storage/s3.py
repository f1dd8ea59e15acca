"""A bucket, through obstore: every request has a deadline, errors are one line, secrets only come from the environment.

No request carries more than one part, in either direction: a connection that could store a backup can also fetch it.

An object is visible once its upload is complete, and not before. Source: Amazon S3 User Guide, 'What is Amazon
S3?', 'Amazon S3 data consistency model'.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from payments_api.backups.disk.workshop import full_disk
from payments_api.backups.manifest import missing
from payments_api.backups.mistakes import BackupError, WrongInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from obstore.store import S3Config, S3Store

_BUCKET: Final = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[A-Za-z0-9_./-]*))?")
_SECRETS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_IN_HEADERS: Final = (*_SECRETS, "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION")
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_PART_BYTES: Final = 5 << 20
"""The smallest part that S3 accepts in an upload. Source: Amazon S3 User Guide, 'Multipart upload limits'."""
_REQUEST_S: Final = "BACKUP_REQUEST_TIMEOUT_S"
_RETRIES: Final = 3
_REMEDY: Final = "check the bucket, the endpoint, the keys and the network"
_SLOW_REMEDY: Final = f"check the network; if it is slow, raise {_REQUEST_S}, the time for {_PART_BYTES >> 20} MiB"


class S3Place:
    is_locked_by_us = False
    device: int | None = None

    def __init__(self, where: str, environment: Mapping[str, str]) -> None:
        """WrongInputError for an invalid bucket name or missing keys, which are never fetched from the network."""
        match = _BUCKET.fullmatch(where)
        prefix = (match["prefix"] or "").strip("/") if match else ""
        if match is None or (prefix and not {"", ".", ".."}.isdisjoint(prefix.split("/"))):
            raise WrongInputError("BACKUP_TO", "no bucket and prefix", "write s3://bucket/prefix", got=ascii(where))
        if lacking := [name for name in _SECRETS if not environment.get(name)]:
            raise WrongInputError(" and ".join(lacking), "not set", f"{where} needs them in the environment")
        _check_words(environment)
        self.shown = where.rstrip("/")
        self._hidden = [environment[name] for name in (*_SECRETS, "AWS_SESSION_TOKEN") if environment.get(name)]
        self._store = _open_store(match["bucket"], prefix, environment)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """No lock needed: names don't collide, and unfinished files are removed once they are old."""
        yield

    def sizes(self) -> dict[str, int]:
        import obstore

        try:
            # Only what is directly below the prefix.
            listed = obstore.list_with_delimiter(self._store)["objects"]
        except Exception as error:  # noqa: BLE001 - obstore's errors have no common base, and some are OSErrors
            raise self._failed("can't be listed", error) from None
        return {entry["path"].rpartition("/")[2]: entry["size"] for entry in listed}

    def put(self, source: Path, name: str) -> None:
        import obstore

        try:
            obstore.put(self._store, name, source, chunk_size=_PART_BYTES, max_concurrency=2)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._failed(f"can't take {name}", error) from None

    def fetch(self, name: str, target: Path) -> None:
        import obstore

        try:
            with full_disk(target.parent), target.open("wb") as written:
                size = obstore.head(self._store, name)["size"]
                for start in range(0, size, _PART_BYTES):
                    end = min(start + _PART_BYTES, size)
                    written.write(obstore.get_range(self._store, name, start=start, end=end))
        except BackupError:
            raise
        except FileNotFoundError:
            raise missing(name, self.shown) from None
        except Exception as error:  # noqa: BLE001 - as above
            raise self._failed(f"{name} can't be read", error) from None

    def delete(self, name: str) -> None:
        import obstore

        try:
            obstore.delete(self._store, name)
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001 - as above
            raise self._failed(f"{name} can't be removed", error) from None

    def _failed(self, what: str, error: Exception) -> BackupError:
        """The error's first line and the service's error code, without anything of ours that it quotes."""
        text = str(error)
        # Only the error's debug form distinguishes timeouts from other failures.
        remedy = _SLOW_REMEDY if re.search(r"\bTimed?[Oo]ut\b", text) else _REMEDY
        code = re.search(r"<Code>(\w{1,64})</Code>", text)
        message = code[1] if code else " ".join(text.partition("Debug source")[0].split())
        for hidden in self._hidden:
            message = message.replace(hidden, "…")
        return BackupError(self.shown, what, remedy, got=message[:300])


def _open_store(bucket: str, prefix: str, environment: Mapping[str, str]) -> S3Store:
    from obstore.store import S3Store

    endpoint = _endpoint(environment)
    timeout = _request_timeout(environment.get(_REQUEST_S) or "60")
    config: S3Config = {
        "access_key_id": environment["AWS_ACCESS_KEY_ID"],
        "secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
        "region": environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1",
    }
    if token := environment.get("AWS_SESSION_TOKEN"):
        config["session_token"] = token
    if endpoint:
        config["endpoint"] = endpoint
    return S3Store(
        bucket,
        prefix=prefix,
        config=config,
        client_options={
            "allow_http": endpoint is not None and urlsplit(endpoint).scheme == "http",
            "connect_timeout": timedelta(seconds=5),
            "timeout": timeout,
        },
        retry_config={
            "max_retries": _RETRIES,
            "retry_timeout": 2 * timeout,
            "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=5), "base": 2},
        },
    )


def _check_words(environment: Mapping[str, str]) -> None:
    """Refuse values that no header can hold: with them, obstore's Rust code panics instead of raising an error."""
    for name in _IN_HEADERS:
        if not re.fullmatch(r"[\x21-\x7e]*", environment.get(name, "")):
            remedy = "write it without, even at its end"
            raise WrongInputError(name, "contains a space, a line break or a character that isn't ASCII", remedy)


def _endpoint(environment: Mapping[str, str]) -> str | None:
    """The endpoint; None for Amazon's."""
    name = next((name for name in _ENDPOINTS if environment.get(name)), None)
    if name is None:
        return None
    text = environment[name]
    try:
        url = urlsplit(text)
        is_usable = url.scheme in {"http", "https"} and url.hostname and url.port != 0 and "@" not in url.netloc
    except ValueError:
        is_usable = False
    if not is_usable or not re.fullmatch(r"[\x21-\x7e]+", text) or "?" in text or "#" in text:
        shown = "one with a password" if "@" in text else ascii(text)
        raise WrongInputError(name, "no usable URL", "write it like https://fly.storage.tigris.dev", got=shown)
    return text


def _request_timeout(text: str) -> timedelta:
    if not re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII):
        raise WrongInputError(_REQUEST_S, "not a number of seconds", "give one from 1 to 9999", got=ascii(text))
    return timedelta(seconds=int(text))
