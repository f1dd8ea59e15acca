"""The files in deploy/: the API accepts their settings, and replication can be restored."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import time
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from payments_api.backups.options import BACKUP_VARIABLES
from payments_api.backups.proof.checking import check_ledger
from payments_api.settings import VARIABLES, read_settings
from tests.commands import ROOT
from tests.payments_api.backups.books import new_ledger, pay, transactions

FLY = tomllib.loads((ROOT / "deploy/fly/fly.toml").read_text(encoding="utf-8"))
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "word"}


def test_the_settings_for_fly_are_accepted_and_contain_no_secrets():
    """Together with the secrets that its README has you set separately."""
    settings = read_settings(FLY["env"] | KEYS)
    assert settings.port == FLY["http_service"]["internal_port"]
    assert settings.backups is not None
    assert set(FLY["env"]) <= set(VARIABLES) | {"AWS_ENDPOINT_URL_S3", "AWS_REGION"}
    assert not set(FLY["env"]) & set(KEYS)


def test_on_fly_the_database_is_on_the_volume_and_its_backups_are_not():
    """A copy on the same volume is no backup; and a stopped Machine takes none."""
    assert Path(FLY["env"]["DATABASE"]).is_relative_to(FLY["mounts"]["destination"])
    assert FLY["env"]["BACKUP_TO"].startswith("s3://")
    assert FLY["http_service"]["auto_stop_machines"] == "off"
    assert FLY["http_service"]["min_machines_running"] == 1


def test_after_a_restore_on_fly_every_later_deploy_serves_the_restored_ledger(tmp_path):
    """The README's command changes fly.toml; an option of one deploy would be forgotten by the next."""
    readme = (ROOT / "deploy/fly/README.md").read_text(encoding="utf-8")
    restored = re.search(r'restore --database (\S+)"', readme)[1]
    (tmp_path / "deploy/fly").mkdir(parents=True)
    config = Path(shutil.copy(ROOT / "deploy/fly/fly.toml", tmp_path / "deploy/fly"))
    subprocess.run(["sh", "-c", re.search(r"^sed .*", readme, re.MULTILINE)[0]], cwd=tmp_path, check=True)
    changed = tomllib.loads(config.read_text(encoding="utf-8"))
    assert changed["env"] == FLY["env"] | {"DATABASE": restored}
    assert "--env" not in readme


def test_the_dockerfile_for_fly_has_the_expected_stage_and_entry_point():
    """Those that fly.toml and the README's commands use."""
    dockerfile = (ROOT / "deploy/fly" / FLY["build"]["dockerfile"]).resolve().read_text()

    def stage(name: str) -> str:
        return re.search(rf"^FROM (?:base|target) AS {name}\n(.*?)\n\n", dockerfile, re.DOTALL | re.MULTILINE)[1]

    assert FLY["build"]["build-target"] == "fly"
    assert 'ENTRYPOINT ["python", "/app/deploy/fly/start.py"]' in stage("fly")
    user = re.search(r"USER (\d+):\1\n", stage("target"))[1]
    start = (ROOT / "deploy/fly/start.py").read_text(encoding="utf-8")
    assert re.search(r"USER = (\S+)", start)[1].replace("_", "") == user
    readme = (ROOT / "deploy/fly/README.md").read_text(encoding="utf-8")
    assert f"to user {user}" in readme
    assert set(re.findall(r"python -m payments_api (\w+)", readme)) == {"backup", "restore", "verify"}


@pytest.mark.long
@pytest.mark.process
def test_litestream_replicates_payments_to_s3_and_restores_them(tmp_path, storage):
    """With the shipped configuration; the checks of backups find the ledger intact."""
    litestream = shutil.which("litestream") or shutil.which("litestream", path=Path(os.sys.executable).parent)
    ledger = new_ledger(tmp_path / "ledger.sqlite3")
    environment = os.environ | storage.environment | {"DATABASE": str(ledger), "BUCKET_NAME": storage.bucket}
    # Litestream's AWS library doesn't support this variable.
    environment.pop("AWS_CA_BUNDLE", None)
    config = ["-config", str(ROOT / "deploy/litestream.yml")]
    with (
        # Keep the database open, as the API does: closing the last connection would remove its log.
        closing(sqlite3.connect(ledger)) as served,
        subprocess.Popen([litestream, "replicate", *config], env=environment, stdout=subprocess.DEVNULL) as replicating,
    ):
        served.execute("SELECT COUNT(*) FROM accounts").fetchone()
        try:
            for _ in range(200):
                if any("/0009/" in key for key in storage.listed()):
                    break
                time.sleep(0.05)
            for first in (100, 200, 300):
                pay(ledger, range(first, first + 5))
            before = set(storage.listed())
            for _ in range(200):
                if set(storage.listed()) - before:
                    break
                time.sleep(0.05)
        finally:
            # It sends what is still missing before it exits.
            replicating.terminate()
    restored = tmp_path / "restored.sqlite3"
    ledger.rename(tmp_path / "gone")
    done = subprocess.run(
        [litestream, "restore", *config, "-o", str(restored), str(ledger)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert transactions(restored) == transactions(tmp_path / "gone")
    assert check_ledger(restored, name="replica")["transactions"] == 20


def test_the_readme_names_every_variable_of_litestreams_configuration():
    """If one of them is missing, it replicates nowhere."""
    readme = (ROOT / "payments_api/README.md").read_text(encoding="utf-8").partition("deploy/litestream.yml")[2]
    wanted = set(re.findall(r"\$\{(\w+)\}", (ROOT / "deploy/litestream.yml").read_text(encoding="utf-8")))
    assert {name for name in wanted if f"`{name}`" not in readme.partition("\n- ")[0]} == set()


def test_the_readme_lists_every_backup_variable_with_its_default():
    """As in BACKUP_VARIABLES."""
    readme = (ROOT / "payments_api/README.md").read_text(encoding="utf-8")
    for name, (default, _) in BACKUP_VARIABLES.items():
        short = name.replace("BACKUP_KEEP", "") if name.endswith(("WEEKS", "MONTHS")) else name
        row = next(line for line in readme.splitlines() if line.startswith("| `BACKUP") and f"`{short}`" in line)
        assert (default or "none") in row.split("|")[2], name
