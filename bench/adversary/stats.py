"""Complete, odd and broken Locust CSVs, passed to `loadproof report`."""

from __future__ import annotations

from collections.abc import Iterator

from bench.adversary.case import FAIL, INCONCLUSIVE, NO_VERDICT, PASS, REFUSED, Case, Check, Played
from bench.adversary.play import Report
from simulation.locustcsvs import HISTORY, PERCENTILES, Row, Totals, csv_text, history_row, stats_row, total_row
from simulation.locustcsvs import STATS as STATS_COLUMNS

ERRORS: list[dict[str, object]] = [{"expect": "error_ratio < 1 %"}]
NEVER_PASS = (FAIL, INCONCLUSIVE, REFUSED)
P95_MS = 200


def row(name: str, requests: int, failures: int) -> Row:
    """An endpoint's row in Locust's stats."""
    return stats_row(name, requests=requests, failures=failures, p95_ms=P95_MS)


def stats(*rows: Row, total: tuple[int, int] | None = None, end: str = "\n") -> bytes:
    """A stats file; its last row is the sum, unless `total` says otherwise."""
    requests, failures = total or (sum(one[2] for one in rows), sum(one[3] for one in rows))
    return csv_text(STATS_COLUMNS, [*rows, total_row(requests, failures, p95_ms=P95_MS)], end=end).encode()


def csv_case(
    name: str,
    tries: str,
    content: bytes,
    *,
    kind: str | None = None,
    file: str = "run_stats.csv",
    what: str = "DIR/run",
    right: tuple[str, ...] = (FAIL,),
    thresholds: list[dict[str, object]] | None = ERRORS,
    more: dict[str, bytes] | None = None,
    also: tuple[Check, ...] = (),
) -> Case:
    play = Report(files={file: content, **(more or {})}, what=(what,), thresholds=thresholds)
    return Case(name=name, kind=kind or name, tries=tries, right=right, play=play, also=also)


def _counts(requests_: int, failures: int) -> Check:
    """verdict.json must have these counts for all endpoints together."""

    def check(played: Played) -> Iterator[str]:
        total = played.verdict.get("all") or {}
        counts = total.get("requests"), total.get("failures")
        if counts != (requests_, failures):
            yield f"requests and failures are told as {counts}, right are {(requests_, failures)}"

    return check


def says(*, has: str = "", never: str = "") -> Check:
    def check(played: Played) -> Iterator[str]:
        if has and not played.told(has):
            yield f"says nothing of '{has}'"
        if never and played.told(never):
            yield f"says '{never}'"

    return check


def history(users: list[int], failed_from: int, mean_ms: list[float], rate: int = 100) -> bytes:
    """One row per second; from `failed_from` on, 99 % fail."""
    rows, totals = [], Totals()
    for second, (count, ms) in enumerate(zip(users, mean_ms, strict=True)):
        failed = int(rate * 0.99) if second >= failed_from else 0
        totals.add(sent=rate, failed=failed, mean_ms=ms, longest_ms=ms)
        rows.append(history_row(second, totals, [round(ms)] * len(PERCENTILES), users=count, rate_rps=float(rate)))
    return csv_text(HISTORY, rows, end="\n").encode()


BAD, GOOD = row("/a", 1000, 900), row("/a", 1000, 0)
STATS = (
    csv_case("stats of a good run", "Locust's own file", stats(GOOD), right=(PASS,), also=(_counts(1000, 0),)),
    csv_case(
        "stats with a BOM",
        "as Excel saves them",
        b"\xef\xbb\xbf" + stats(GOOD),
        kind="stats of a good run",
        right=(PASS,),
    ),
    csv_case(
        "stats with quoted names",
        "commas and quotes in names",
        stats(row('/a?x=1,2&y="b"', 1000, 0)),
        kind="stats of a good run",
        right=(PASS,),
    ),
    csv_case("CR CR LF", "Locust on Windows", stats(BAD, end="\r\r\n"), also=(_counts(1000, 900),)),
    csv_case("CR alone", "as an old editor saves it", stats(BAD, end="\r"), kind="CR CR LF"),
    csv_case("blank lines between", "every second line is empty", stats(BAD, end="\n\n"), kind="CR CR LF"),
    csv_case(
        "the web UI's download",
        "…_requests.csv",
        stats(BAD),
        file="Locust_2026_file.py_http_x_requests.csv",
        what="DIR/Locust_2026_file.py_http_x_requests.csv",
        also=(_counts(1000, 900),),
    ),
    csv_case("an empty prefix", "--csv DIR/", stats(BAD), file="it/_stats.csv", what="DIR/it/"),
    csv_case(
        "another code page",
        "two endpoint names in GBK, one of which fails: they must stay apart",
        stats(row("/N1", 1000, 0), row("/N2", 500, 400))
        .replace(b"N1", "报告".encode("gbk"))
        .replace(b"N2", "支付".encode("gbk")),
        also=(_counts(1500, 400),),
    ),
    csv_case("UTF-16", "PowerShell's > file", stats(BAD).decode().encode("utf-16"), right=(FAIL, REFUSED)),
    csv_case("NUL bytes", "a file left by a crash", stats(BAD).replace(b"/a", b"/a\0"), right=NEVER_PASS),
    csv_case(
        "a total that lies",
        "the last line says that 0 of 2,000 failed",
        stats(BAD, row("/b", 1000, 0), total=(2000, 0)),
        right=NEVER_PASS,
    ),
    csv_case(
        "more failures than requests", "1,100 of 1,000 requests failed", stats(row("/a", 1000, 1100)), right=NEVER_PASS
    ),
    csv_case(
        "negative failures",
        "-900 of 1,000 requests failed",
        stats(row("/a", 1000, -900)),
        right=(INCONCLUSIVE, REFUSED),
    ),
    csv_case("only the header line", "no rows", csv_text(STATS_COLUMNS, []).encode(), right=(INCONCLUSIVE, REFUSED)),
    csv_case("an empty file", "0 bytes", b"", kind="only the header line", right=(INCONCLUSIVE, REFUSED)),
    csv_case("a different table", "an unrelated CSV under this name", b"a;b;c\n1;2;3\n", right=(REFUSED,)),
    csv_case("nothing there", "no file has this prefix", stats(BAD), what="DIR/other", right=(REFUSED,)),
    csv_case(
        "the failing endpoint is cut off",
        "the file ends in the middle of its row",
        stats(GOOD, row("/pay", 1000, 990))[:-150],
        right=NEVER_PASS,
    ),
    csv_case(
        "a threshold without a row",
        "the endpoint is not in the file",
        stats(BAD),
        thresholds=[{"endpoint": "/pay", "expect": "error_ratio < 1 %"}],
        right=(INCONCLUSIVE, REFUSED),
    ),
    csv_case("no requests", "a row of 0 requests", stats(row("/a", 0, 0)), right=(INCONCLUSIVE, REFUSED)),
)
TURNS = (
    csv_case(
        "fails from the start",
        "99 % fail from second 2 on, all from second 40 on",
        history(list(range(0, 1800, 30)), 2, [2000] * 60),
        file="run_stats_history.csv",
        thresholds=None,
        right=(NO_VERDICT,),
        also=(says(has="from the start", never="failures began"),),
        more={"run_stats.csv": stats(row("/a", 6000, 5742))},
    ),
    csv_case(
        "low load for a second",
        "0 to 1,000 users in 15 s, while times grow from 20 ms to 1.8 s",
        history([67 * n for n in range(16)], 99, [20 + 120 * n for n in range(16)], 200),
        file="run_stats_history.csv",
        thresholds=None,
        right=(NO_VERDICT,),
        also=(says(never="No turning point found"),),
        more={"run_stats.csv": stats(row("/a", 3200, 0))},
    ),
)
CASES = STATS + TURNS
