"""Places that work, and ones that are full, read-only, missing, slow or refuse."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from payments_api.backups.mistakes import BackupError, UnusableError, WrongInputError
from payments_api.backups.restoring import check_backup, restore
from payments_api.backups.storage import s3
from payments_api.backups.storage.places import DirectoryPlace, backups_in, open_place
from payments_api.backups.storage.retention import Keep
from payments_api.backups.taking import take_backup
from tests.commands import ROOT
from tests.payments_api.backups.books import KEEP, changed, leftovers, new_ledger, transactions
from tests.payments_api.backups.storage.storage import KEY_ID, SECRET, Storage, credentials, slowly
from tests.servers import answering, read_request, serving


def unproved(_: Path) -> str:
    return "not started"


@pytest.mark.slow
def test_a_backup_is_stored_in_s3_and_restored(ledger, tmp_path, storage):
    """In several parts; with the same names as in a directory, and nothing else."""
    with changed(ledger) as database:
        database.execute("INSERT INTO webhook_events VALUES ('standard', 'large', 'now', ?)", (os.urandom(12_000_000),))
    name = take_backup(ledger, storage.place, keep=KEEP).manifest.name
    assert storage.listed() == [f"some/prefix/{name}.json", f"some/prefix/{name}.sqlite3.gz"]
    restored = tmp_path / "restored.sqlite3"
    assert restore(storage.place, restored, None, prove=unproved).manifest.name == name
    assert transactions(restored) == transactions(ledger)


@pytest.mark.long
@pytest.mark.slow
def test_a_slow_connection_that_can_store_a_backup_can_also_fetch_it(ledger, tmp_path, storage, monkeypatch):
    """Each request carries one part: the whole takes longer than any request may, but nothing is retried."""
    monkeypatch.setattr(s3, "_RETRIES", 0)
    with changed(ledger) as database:
        database.execute("INSERT INTO webhook_events VALUES ('standard', 'large', 'now', ?)", (os.urandom(24_000_000),))
    with slowly(storage.endpoint, bytes_per_s=5e6) as url:
        place = open_place(storage.where, credentials(url) | {"BACKUP_REQUEST_TIMEOUT_S": "4"})
        name = take_backup(ledger, place, keep=KEEP).manifest.name
        began_s = time.monotonic()
        assert check_backup(place, backups_in(place)[0], tmp_path).name == name
        assert time.monotonic() - began_s > 4


@pytest.mark.slow
def test_a_connection_too_slow_for_a_part_is_reported_with_the_setting_that_helps(ledger, tmp_path, storage):
    """And with the size of a part."""
    with changed(ledger) as database:
        database.execute("INSERT INTO webhook_events VALUES ('standard', 'large', 'now', ?)", (os.urandom(3_000_000),))
    take_backup(ledger, storage.place, keep=KEEP)
    with slowly(storage.endpoint, bytes_per_s=1e6) as url:
        place = open_place(storage.where, credentials(url) | {"BACKUP_REQUEST_TIMEOUT_S": "1"})
        with pytest.raises(BackupError, match=r"\.gz can't be read, got .*raise BACKUP_REQUEST_TIMEOUT_S, the time f"):
            check_backup(place, backups_in(place)[0], tmp_path)


@pytest.mark.slow
def test_old_backups_and_old_leftovers_in_s3_are_deleted(ledger, storage):
    """A payload without a manifest may just be being written; after a day it is abandoned."""
    now = datetime(2026, 3, 1, 3, tzinfo=UTC)
    for name in ("ledger-20260228T040000.000Z-00000000", "ledger-20260228T020000.000Z-00000000"):
        storage.client().put_object(Bucket=storage.bucket, Key=f"some/prefix/{name}.sqlite3.gz", Body=b"torn")
    for minute in range(5):
        at = now + timedelta(minutes=minute)
        take_backup(ledger, storage.place, keep=Keep(1, 0, 0), now=lambda at=at: at)
    assert len([key for key in storage.listed() if key.endswith(".json")]) == 3
    payloads = [key for key in storage.listed() if key.endswith(".gz")]
    assert len(payloads) == 4
    assert "some/prefix/ledger-20260228T040000.000Z-00000000.sqlite3.gz" in payloads


@pytest.mark.slow
def test_a_bucket_needs_no_prefix(ledger, tmp_path, storage):
    """Backups may be stored in its root."""
    place = open_place(f"s3://{storage.bucket}", storage.environment)
    name = take_backup(ledger, place, keep=KEEP).manifest.name
    assert storage.listed() == [f"{name}.json", f"{name}.sqlite3.gz"]
    assert restore(place, tmp_path / "restored.sqlite3", None, prove=unproved).manifest.name == name


@pytest.mark.slow
def test_other_objects_in_the_bucket_are_no_backups(ledger, storage):
    """Nor are objects deeper down."""
    for key in (
        "some/prefix/notes.json",
        "some/prefix/deeper/ledger-20260228T020000.000Z-00000000.json",
        "some/other.json",
    ):
        storage.client().put_object(Bucket=storage.bucket, Key=key, Body=b"{}")
    take_backup(ledger, storage.place, keep=KEEP)
    assert len(backups_in(storage.place)) == 1
    assert len(storage.listed()) == 5


@pytest.mark.slow
def test_a_payload_missing_from_s3_is_named(ledger, tmp_path, storage):
    """Somebody removed it, but not its manifest."""
    name = take_backup(ledger, storage.place, keep=KEEP).manifest.name
    storage.client().delete_object(Bucket=storage.bucket, Key=f"some/prefix/{name}.sqlite3.gz")
    with pytest.raises(UnusableError, match=f"{name}: its file {name}.sqlite3.gz is missing in s3://"):
        restore(storage.place, tmp_path / "restored.sqlite3", None, prove=unproved)


def test_a_missing_bucket_is_reported(ledger, storage):
    """With the service's own error code."""
    place = Storage(storage.endpoint, "no-such-bucket").place
    with pytest.raises(BackupError, match=r"^s3://no-such-bucket/some/prefix: .*, got NoSuchBucket; check the bucket"):
        take_backup(ledger, place, keep=KEEP)
    assert leftovers(ledger.parent) == []


REFUSALS = {
    "403 Forbidden": (f"<Error><Code>InvalidAccessKeyId</Code><Id>{KEY_ID}</Id></Error>", "InvalidAccessKeyId"),
    "401 Unauthorized": (f"no such key {KEY_ID} with {SECRET}", "no such key … with …"),
    "507 Insufficient Storage": ("<Error><Code>InsufficientStorage</Code></Error>", "InsufficientStorage"),
}


@pytest.mark.slow
@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_of_the_storage_is_quoted_without_secrets(ledger, status):
    """Whatever it quotes of ours."""
    body, told = REFUSALS[status]
    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
    with serving(answering(answer)) as url, pytest.raises(BackupError) as caught:
        take_backup(ledger, Storage(url, "bucket").place, keep=KEEP)
    line = str(caught.value)
    assert told in line
    assert "\n" not in line
    assert KEY_ID not in line
    assert SECRET not in line


@pytest.mark.slow
def test_a_storage_that_never_answers_is_given_up(ledger):
    """After the timeout of a request and its retries."""

    def silent(connection, _):
        read_request(connection)
        time.sleep(8)

    began_s = time.monotonic()
    with serving(silent) as url:
        place = open_place("s3://bucket/x", credentials(url) | {"BACKUP_REQUEST_TIMEOUT_S": "1"})
        with pytest.raises(BackupError, match=r"s3://bucket/x: can't be listed, got .*; .* raise BACKUP_REQUEST"):
            take_backup(ledger, place, keep=KEEP)
        assert time.monotonic() - began_s < 8


@pytest.mark.slow
def test_an_unreachable_storage_is_reported(ledger, storage):
    """Nothing listens there."""
    with serving(answering()) as url:
        gone = url
    with pytest.raises(BackupError, match=r"s3://bucket/some/prefix: can't be listed, got .*error sending request; c"):
        take_backup(ledger, Storage(gone, "bucket").place, keep=KEEP)


@pytest.mark.parametrize(
    "where",
    ["s3://", "s3://B", "s3://bucket?key=x", "s3://user:word@bucket", "s3://bucket/../x", "s3://bucket/a//x"],
)
def test_an_invalid_bucket_is_refused(where):
    """Even if somebody put a secret into its name."""
    with pytest.raises(WrongInputError, match="write s3://bucket/prefix"):
        open_place(where, credentials("http://127.0.0.1:9"))


def test_missing_keys_are_not_fetched_from_anywhere():
    """Not even from the network's metadata service."""
    with pytest.raises(
        WrongInputError, match=r"^AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: not set; s3://bucket needs"
    ):
        open_place("s3://bucket", {})
    with pytest.raises(WrongInputError, match=r"^BACKUP_REQUEST_TIMEOUT_S: not a number of seconds, got 'x'"):
        open_place("s3://bucket", credentials("") | {"BACKUP_REQUEST_TIMEOUT_S": "x"})


@pytest.mark.parametrize(
    "endpoint",
    ["127.0.0.1:9", "ftp://127.0.0.1", "http://127.0.0.1 :9", "http://127.0.0.1:99999", "http://127.0.0.1:9?x=1"],
)
def test_an_invalid_endpoint_is_refused(endpoint):
    """obstore accepts most of them, and panics when it uses them."""
    with pytest.raises(WrongInputError, match=rf"^AWS_ENDPOINT_URL_S3: no usable URL, got '{re.escape(endpoint)}'"):
        open_place("s3://bucket", credentials(endpoint))


def test_an_endpoint_with_a_password_is_refused_and_not_shown():
    with pytest.raises(WrongInputError, match=r"^AWS_ENDPOINT_URL_S3: no usable URL, got one with a password; write"):
        open_place("s3://bucket", credentials("http://user:word@127.0.0.1"))


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(name):
    """If read from a file, it ends with the file's line break."""
    with pytest.raises(WrongInputError, match=rf"^{name}: contains a space, a line break or a .*; write it without"):
        open_place("s3://bucket", credentials("http://127.0.0.1:9") | {name: "word\n"})


@pytest.mark.parametrize("where", ["directory", "s3"])
def test_a_full_local_disk_is_not_blamed_on_the_place(ledger, place, tmp_path, where, request):
    """/dev/full accepts no data; the message must name the disk that it stands for."""
    opened = DirectoryPlace(place) if where == "directory" else request.getfixturevalue("storage").place
    name = take_backup(ledger, opened, keep=KEEP).manifest.name
    (tmp_path / "manifest.json").symlink_to("/dev/full")
    with pytest.raises(BackupError, match=rf"^{tmp_path}: can't be written, got No space left on device; check"):
        opened.fetch(f"{name}.json", tmp_path / "manifest.json")


def test_a_missing_directory_is_not_created(tmp_path):
    """If a volume isn't mounted, we would write past it."""
    with pytest.raises(WrongInputError, match=r"BACKUP_TO: no such directory, got '.*/gone'; make it, or mount"):
        open_place(str(tmp_path / "gone"), {})
    assert not (tmp_path / "gone").exists()


def test_a_directory_that_disappears_is_reported(ledger, place):
    """Between opening it and writing to it."""
    opened = DirectoryPlace(place)
    place.rmdir()
    with pytest.raises(BackupError, match=r"place/.backup-lock: can't create the lock file, got No such file"):
        take_backup(ledger, opened, keep=KEEP)
    assert leftovers(ledger.parent) == []


def in_a_namespace(script: str) -> subprocess.CompletedProcess[str]:
    """Run the script in its own mount namespace; skipped if the system doesn't allow that."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-uc"]
    if subprocess.run([*command, "mount -t tmpfs none /mnt"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces with mounts here")
    return subprocess.run([*command, script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


BACKUP = f"{sys.executable} -m payments_api.backups backup --database {{ledger}} --to {{place}}"


@pytest.mark.process
def test_a_full_place_keeps_its_backups_and_gets_no_partial_one(tmp_path, place):
    """And accepts the next one once there is room."""
    ledger = new_ledger(tmp_path / "ledger.sqlite3")
    with changed(ledger) as database:
        database.execute("INSERT INTO webhook_events VALUES ('standard', 'large', 'now', ?)", (os.urandom(100_000),))
    backup = BACKUP.format(ledger=ledger, place=place)
    done = in_a_namespace(
        f"mount -t tmpfs -o size=128k none {place}\n{backup} 2>&1; echo code $?; ls -A {place}\n"
        f"{backup} 2>&1; echo code $?; ls -A {place}\nmount -o remount,size=1m {place}\n{backup}; echo code $?"
    )
    name = re.search(r"as (\S+):", done.stdout)[1]
    files = f"\\.backup-lock\n{name}\\.json\n{name}\\.sqlite3\\.gz\n"
    assert re.fullmatch(
        rf"backed up .*\ncode 0\n{files}"
        rf"{place}: can't take ledger-\S+\.sqlite3\.gz, got No space left on device; check .*\ncode 1\n{files}"
        r"backed up .*\ncode 0\n",
        done.stdout,
    ), done.stdout + done.stderr
    assert done.stderr == ""


@pytest.mark.process
def test_a_read_only_place_is_reported_and_can_be_restored_from(tmp_path, place):
    """Only writers need the lock."""
    ledger = new_ledger(tmp_path / "ledger.sqlite3")
    take_backup(ledger, DirectoryPlace(place), keep=KEEP)
    done = in_a_namespace(
        f"mount --bind {place} {place} && mount -o remount,bind,ro {place}\n"
        f"{BACKUP.format(ledger=ledger, place=place)}; echo code $?\n"
        f"{sys.executable} -m payments_api.backups verify --from {place}; echo code $?"
    )
    assert re.fullmatch(r"code 1\nledger-\S+ is good: .*\ncode 0\n", done.stdout), done.stdout + done.stderr
    assert f"{place}/.backup-lock: can't create the lock file, got Read-only file system; make its" in done.stderr


@pytest.mark.process
def test_a_nearly_full_disk_of_the_database_is_reported(tmp_path, place):
    """It only has room for the payments."""
    done = in_a_namespace(
        f"mkdir {tmp_path}/data && mount -t tmpfs -o size=17m none {tmp_path}/data\n"
        f"{sys.executable} -c 'from payments_api.ledger import create_database as c; "
        f'c("{tmp_path}/data/ledger.sqlite3", 20000)\'\n'
        f"{BACKUP.format(ledger=f'{tmp_path}/data/ledger.sqlite3', place=place)}; echo code $?; ls -A {tmp_path}/data"
    )
    assert "code 1\n" in done.stdout, done.stdout + done.stderr
    assert "no room to copy the database and leave 16 MiB" in done.stderr
    assert ".ledger.sqlite3.backup\n" not in done.stdout
