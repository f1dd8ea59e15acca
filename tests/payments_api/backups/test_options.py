"""The variables of backups among the API's settings."""

from __future__ import annotations

import os

import pytest

from payments_api.backups import commands
from payments_api.backups.options import BACKUP_VARIABLES
from payments_api.backups.storage.retention import Keep
from payments_api.settings import VARIABLES, SettingsError, read_settings

SOME = {"DATABASE": "/data/ledger.sqlite3", "BACKUP_TO": "/backups"}
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "word"}


def test_without_variables_there_are_no_backups():
    """By default."""
    assert read_settings({}).backups is None
    assert read_settings(dict.fromkeys(BACKUP_VARIABLES, "")).backups is None


def test_one_variable_is_enough():
    """With a database that isn't temporary."""
    backups = read_settings(SOME).backups
    assert backups is not None
    assert (backups.place, backups.at_s, backups.keep) == ("/backups", 10_800, Keep(14, 8, 12))
    assert backups.timeout_s == 3600
    at = read_settings(SOME | {"BACKUP_AT": "23:59", "BACKUP_KEEP_DAYS": "2", "BACKUP_KEEP_WEEKS": "0"}).backups
    assert at is not None
    assert (at.at_s, at.keep) == (86_340, Keep(2, 0, 12))


CONTRADICTIONS = {
    "BACKUP_TO: got a destination, but DATABASE is empty; a temporary database has no backups": {"DATABASE": ""},
    "BACKUP_TO: got the directory of DATABASE, '/data'; name one on another disk": {"BACKUP_TO": "/data"},
    "BACKUP_AT: got '24:00'; write a time like 03:00": {"BACKUP_AT": "24:00"},
    "BACKUP_AT: got '3:00'; write a time like 03:00": {"BACKUP_AT": "3:00"},
    "BACKUP_AT: got '04:00' without BACKUP_TO; set both or neither": {"BACKUP_TO": "", "BACKUP_AT": "04:00"},
    "BACKUP_KEEP_DAYS: got '0'; give a number from 1 to 3660": {"BACKUP_KEEP_DAYS": "0"},
    "BACKUP_KEEP_WEEKS: got 'x'; give a number from 0 to 520": {"BACKUP_KEEP_WEEKS": "x"},
    "BACKUP_KEEP_MONTHS: got '-1'; give a number from 0 to 120": {"BACKUP_KEEP_MONTHS": "-1"},
    "BACKUP_TIMEOUT_S: got '0'; give a number from 1 to 86400": {"BACKUP_TIMEOUT_S": "0"},
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: not set; s3://bucket needs them in the environment": {
        "BACKUP_TO": "s3://bucket"
    },
    "BACKUP_TO: no bucket and prefix, got 's3://B'; write s3://bucket/prefix": {"BACKUP_TO": "s3://B", **KEYS},
    "BACKUP_REQUEST_TIMEOUT_S: not a number of seconds, got '0'; give one from 1 to 9999": {
        "BACKUP_TO": "s3://bucket",
        "BACKUP_REQUEST_TIMEOUT_S": "0",
        **KEYS,
    },
}


def test_the_place_is_not_touched_when_settings_are_read(monkeypatch, tmp_path):
    """A hanging mount would keep the API from starting; a backup follows links, though, and refuses."""
    (tmp_path / "link").symlink_to(tmp_path)
    asked = []
    for name in ("stat", "lstat", "readlink"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda path, *_, real=real, **__: (asked.append(str(path)), real(path))[1])
    settings = {"DATABASE": str(tmp_path / "ledger.sqlite3"), "BACKUP_TO": str(tmp_path / "link")}
    assert read_settings(settings).backups is not None
    assert settings["BACKUP_TO"] not in asked
    assert commands.main(["backup", "--database", settings["DATABASE"], "--to", settings["BACKUP_TO"]]) == 2


@pytest.mark.parametrize("line", CONTRADICTIONS)
def test_contradicting_settings_are_refused_at_startup(line):
    """In one line."""
    with pytest.raises(SettingsError) as caught:
        read_settings(SOME | CONTRADICTIONS[line])
    assert str(caught.value) == line


def test_all_errors_are_reported_at_once():
    """Together with those of other settings."""
    with pytest.raises(SettingsError) as caught:
        read_settings(SOME | {"PORT": "x", "BACKUP_AT": "x", "BACKUP_KEEP_DAYS": "x"})
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "PORT",
        "BACKUP_AT",
        "BACKUP_KEEP_DAYS",
    ]


def test_an_embedded_target_inherits_no_backup_settings():
    """A run must not make backups because the environment has a place for some."""
    from loadproof.run.target import embedded

    assert set(BACKUP_VARIABLES) <= set(VARIABLES)
    assert set(BACKUP_VARIABLES) <= embedded.NOT_INHERITED
