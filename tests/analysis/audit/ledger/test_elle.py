"""A run's history has the format of Jepsen's tools, and says about each payment what the run knows."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from loadproof.analysis.audit.ledger.elle import write_history
from tests.analysis.audit import banks
from tests.analysis.audit.ledger.tellers import ACCOUNTS, Load

TOTAL = len(ACCOUNTS) * banks.OPENING


@pytest.fixture(scope="module")
def load() -> Load:
    load = Load(banks.Bank, 5, payments=80, pairs=5)
    load.run()
    return load


def history(load: Load, model: Any) -> list[dict[str, Any]]:
    return json.loads(write_history(load.record(), model))


@pytest.mark.parametrize("model", ["bank", "set-full"])
def test_operations_begin_before_they_end_and_processes_have_one_at_a_time(load, model):
    """And a process that doesn't know how its operation ended is never used again."""
    operations = history(load, model)
    assert [operation["index"] for operation in operations] == list(range(len(operations)))
    assert [operation["time"] for operation in operations] == sorted(operation["time"] for operation in operations)
    busy: dict[int, str] = {}
    for operation in operations:
        process, kind = operation["process"], operation["type"]
        if kind == "invoke":
            assert process not in busy
            busy[process] = operation["f"]
        else:
            assert kind in {"ok", "fail", "info"}
            assert busy[process] == operation["f"]
            if kind != "info":
                del busy[process]
    assert len(busy) == sum(operation["type"] == "info" for operation in operations)


def test_a_banks_reads_have_all_accounts_and_one_total(load):
    """As Jepsen's bank checker requires; a transfer names accounts by the same numbers."""
    operations = history(load, "bank")
    reads = [operation["value"] for operation in operations if (operation["f"], operation["type"]) == ("read", "ok")]
    assert len(reads) > 10
    assert all(sum(read.values()) == TOTAL and len(read) == len(ACCOUNTS) for read in reads)
    transfers = [operation["value"] for operation in operations if operation["f"] == "transfer"]
    assert {str(value[word]) for value in transfers for word in ("from", "to")} == set(reads[0])
    assert all(value["amount"] > 0 for value in transfers)


def test_each_payment_is_one_transfer_with_its_known_ending(load):
    """However often it was sent; and each is there as often as it should be."""
    kinds = Counter(operation["type"] for operation in history(load, "bank") if operation["f"] == "transfer")
    assert kinds["ok"] == len(load.bank.rows)
    assert kinds["invoke"] == kinds["ok"] + kinds["fail"] + kinds["info"]
    operations = history(load, "set-full")
    added = {operation["value"] for operation in operations if (operation["f"], operation["type"]) == ("add", "ok")}
    assert added == set(operations[-1]["value"])
    assert operations[-1]["f"] == "read"


def test_a_lost_payment_is_missing_in_the_last_read():
    """So that the other checker finds it as well."""
    load = Load(banks.RowlessBank, 3, payments=200, pairs=5)
    load.run()
    operations = history(load, "set-full")
    added = {operation["value"] for operation in operations if (operation["f"], operation["type"]) == ("add", "ok")}
    assert added - set(operations[-1]["value"])
