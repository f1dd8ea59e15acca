"""The README's example: backups in another application, with nothing else of this repository."""

from __future__ import annotations

import ast
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from loadproof.run.machine.ports import free_port
from tests.commands import ROOT
from tests.payments_api.backups.books import names
from tests.sources import tree_of

README = (ROOT / "payments_api/README.md").read_text(encoding="utf-8")
SECTION = README.partition("### In your own FastAPI app with SQLite")[2].partition("\n### ")[0]
APPLICATION, SERVING, OWN = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
CODE = ROOT / "payments_api/backups"


def carried_to(directory: Path) -> Path:
    """Copy the files as the README says."""
    shutil.copytree(CODE, directory / "payments_api/backups", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CODE.parent / "__init__.py", directory / "payments_api")
    (directory / "payments_api/backups/application.py").write_text(APPLICATION)
    (directory / "payments_api/backups/serving.py").write_text(SERVING)
    (directory / "own.py").write_text(OWN)
    database = directory / "data/shop.sqlite3"
    database.parent.mkdir()
    with closing(sqlite3.connect(database)) as opened:
        opened.executescript("PRAGMA journal_mode=WAL; CREATE TABLE orders (id INTEGER PRIMARY KEY, price INTEGER)")
        opened.execute("INSERT INTO orders (price) VALUES (3), (5)")
        opened.commit()
    return database


@pytest.mark.slow
def test_only_two_files_depend_on_the_application_and_the_examples_define_the_same_names():
    """No other file imports anything of ours from outside the folder."""
    wanted = set()
    for file in CODE.rglob("*.py"):
        for node in ast.walk(tree_of(file)):
            assert not (isinstance(node, ast.Import) and "payments_api" in ast.dump(node)), file
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            outside = module.startswith("payments_api") and not module.startswith("payments_api.backups.")
            assert not outside or file.name in {"application.py", "serving.py"}, f"{file}: {module}"
            if module == "payments_api.backups.application":
                wanted |= {alias.name for alias in node.names}
    names_there: dict[str, object] = {}
    exec(APPLICATION, names_there)  # noqa: S102 - ours
    assert wanted
    assert wanted <= set(names_there)


@pytest.mark.long
@pytest.mark.process
def test_the_readmes_example_app_backs_itself_up_and_restores_a_backup(tmp_path, place):
    """With the printed code, and nothing else."""
    database, restored = carried_to(tmp_path), tmp_path / "restored.sqlite3"
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "DATABASE": str(database), "BACKUP_TO": str(place)}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "payments_api.backups", *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    serving = [sys.executable, "-m", "uvicorn", "own:app", "--port", str(free_port()), "--log-level", "warning"]
    with subprocess.Popen(serving, cwd=tmp_path, env=environment) as server:
        try:
            # Backups run at the lowest priority, so they take long on a busy machine.
            deadline_s = time.monotonic() + 90
            while not names(place):
                assert time.monotonic() < deadline_s
                assert server.poll() is None
                time.sleep(0.1)
        finally:
            server.terminate()
    verified = run("verify")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert re.search(r"^shop-2\S+ is good: taken .* UTC, 2 orders, ", verified.stdout)
    done = run("restore", "--database", restored)
    assert done.stdout.endswith("; the API starts on it, /orders answers count 2\n"), done.stderr
    with closing(sqlite3.connect(database)) as opened:
        opened.execute("UPDATE orders SET price = NULL WHERE id = 2")
        opened.commit()
    refused = run("backup")
    assert refused.returncode == 1
    assert "an order has no price, got 2" in refused.stderr
