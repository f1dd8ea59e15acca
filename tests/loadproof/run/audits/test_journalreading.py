"""What a journal leaves to ask about: payments with an unknown result, ids, events and accounts."""

from __future__ import annotations

from loadproof.run.audits.journalreading import Sent, read_sent
from loadproof.rundir import files
from loadproof.rundir.journal import append_journal, journal_lines, noted_text, quoted
from loadproof.rundir.members import packed

ORDER = {"debit": "a", "credit": "b", "amount": 5}


def row(status: int, outcome: str, *, repeated: bool = False, **noted: object) -> tuple[object, ...]:
    return (
        "1",
        "127.1.0.1",
        "transactions",
        "steady",
        1,
        2,
        3,
        status,
        outcome,
        "",
        repeated,
        quoted(noted_text(noted)),
    )


def test_only_payments_that_may_have_happened_unacknowledged_are_open(tmp_path):
    """In any order of answers; a refusal of a request that was sent twice may belong to the second attempt."""
    rows = [
        row(0, "timeout", key="late", **ORDER),
        row(201, "ok", key="late", payment="p1", **ORDER),
        row(201, "ok", key="early", payment="p2", **ORDER),
        row(500, "server_error", key="early", **ORDER),
        row(422, "invalid", key="refused", **ORDER),
        row(422, "invalid", key="perhaps", repeated=True, **ORDER),
        row(502, "server_error", key="open", **ORDER),
        row(201, "invalid", key="wrong", **ORDER),
        row(202, "ok", event="evt_1"),
        row(200, "ok", account="a", balance=5),
    ]
    append_journal(tmp_path / files.JOURNAL, packed(journal_lines(rows)))
    sent = read_sent(tmp_path)
    assert list(sent.open_orders) == ["perhaps", "open", "wrong"]
    assert sent.open_orders["open"] == {"key": "open", "client": "127.1.0.1", **ORDER}
    assert list(sent.payments) == ["p1", "p2"]
    assert list(sent.keys) == ["late", "early", "refused", "perhaps", "open", "wrong"]
    assert (list(sent.events), list(sent.accounts)) == (["evt_1"], ["a", "b"])


def test_an_event_is_accepted_if_any_delivery_was(tmp_path):
    """Its effect may come after the end of the load."""
    rows = [
        row(0, "timeout", event="evt_1"),
        row(202, "ok", event="evt_1"),
        row(500, "server_error", event="evt_1"),
        row(401, "rejected", event="evt_2"),
        row(200, "invalid", event="evt_3"),
    ]
    append_journal(tmp_path / files.JOURNAL, packed(journal_lines(rows)))
    assert read_sent(tmp_path).events == {"evt_1": True, "evt_2": False, "evt_3": True}


def test_a_run_without_a_journal_leaves_nothing_to_ask(tmp_path):
    """Nor do lines that aren't rows, or rows without a valid note."""
    assert read_sent(tmp_path) == Sent()
    append_journal(tmp_path / files.JOURNAL, packed("torn,row\n" + journal_lines([row(201, "ok")])))
    assert read_sent(tmp_path) == Sent()
