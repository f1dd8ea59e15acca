"""Complete, odd and broken request logs, passed to `loadproof report --log`."""

from __future__ import annotations

from collections.abc import Iterator

from bench.adversary.case import FAIL, INCONCLUSIVE, PASS, REFUSED, Case, Check, Played
from bench.adversary.play import Report

NEVER_PASS = (FAIL, INCONCLUSIVE, REFUSED)


def log(*lines: str, end: str = "\n", head: str = "seconds,name,response_ms,status") -> bytes:
    return (end.join([head, *lines]) + end).encode()


def requests(count: int, *, bad: int = 0, at: str = "{}", name: str = "/a", status: str = "500") -> list[str]:
    """`count` requests, ten per second; the last `bad` of them failed."""
    return [
        f"{at.format(number // 10)},{name},20.5,{status if number >= count - bad else 200}" for number in range(count)
    ]


def among(count: int, line: str, *, of: int) -> list[str]:
    """`count` copies of this line, spread evenly among `of` good ones; `{}` is replaced by the second."""
    good = requests(of)
    step = of // count
    return [
        text
        for number, one in enumerate(good)
        for text in ([one, line.format(number // 10)] if number % step == 0 and number < step * count else [one])
    ]


def _log(
    name: str,
    tries: str,
    content: bytes,
    *,
    kind: str | None = None,
    right: tuple[str, ...] = (FAIL,),
    expect: str = "error_ratio < 1 %",
    also: tuple[Check, ...] = (),
) -> Case:
    thresholds: list[dict[str, object]] = [{"expect": expect}]
    play = Report(files={"requests.csv": content}, what=("--log", "DIR/requests.csv"), thresholds=thresholds)
    return Case(name=name, kind=kind or name, tries=tries, right=right, play=play, also=also)


def _text(*, has: str = "", never: str = "") -> Check:
    def check(played: Played) -> Iterator[str]:
        if has and not played.told(has):
            yield f"says nothing of '{has}'"
        if never and played.told(never):
            yield f"says '{never}'"

    return check


CASES = (
    _log("a good log", "2,000 requests in seconds", log(*requests(2000)), right=(PASS,)),
    _log(
        "a good log in ISO 8601",
        "2,000 requests",
        log(*requests(590, at="2026-01-01T10:00:{:02d}Z")),
        kind="a good log",
        right=(PASS,),
    ),
    _log(
        "a log in ms since 1970",
        "a fifth of the requests failed",
        log(*requests(2000, bad=400, at="17500000{:03d}000")),
        kind="units of time",
    ),
    _log(
        "a log in ISO 8601",
        "a fifth of the requests failed",
        log(*requests(590, bad=120, at="2026-01-01T10:00:{:02d}Z")),
        kind="units of time",
    ),
    _log(
        "ms since the start",
        "2,000 good requests in 20 s look like six hours: neither a FAIL for a low rate nor a PASS",
        log(*(f"{10 * number},/a,20.5,200" for number in range(2000))),
        kind="units of time",
        expect="throughput >= 90 rps",
        right=(REFUSED,),
        also=(_text(has="time_ms"),),
    ),
    _log(
        "ms since the start, in a column that says so",
        "2,000 requests in 20 s",
        log(*(f"{10 * number},/a,20.5,200" for number in range(2000)), head="time_ms,name,response_ms,status"),
        kind="a good log",
        expect="throughput >= 90 rps",
        right=(PASS,),
    ),
    _log(
        "two units of time",
        "every second line is in ms",
        log(*(f"{number * (10 if number % 2 else 0.01)},/a,20.5,200" for number in range(2000))),
        kind="units of time",
        right=(REFUSED,),
    ),
    _log(
        "texts as status",
        "failures have a text instead of a number",
        log(*requests(2000, bad=400, status="Non HTTP response code: SocketTimeout")),
    ),
    _log("status 0", "0 means that no answer came", log(*requests(2000, bad=400, status="0")), kind="texts as status"),
    _log(
        "no status",
        "the cell is empty where no answer came",
        log(*requests(2000, bad=400, status="")),
        kind="texts as status",
        right=NEVER_PASS,
    ),
    _log(
        "names like NA",
        "endpoints called NA, null, nan and None fail",
        log(
            *requests(1000),
            *(line for name in ("NA", "null", "nan", "None", "") for line in requests(100, bad=100, name=name)),
        ),
    ),
    _log(
        "a quote that never closes",
        "the failures follow it",
        log(*requests(1000), '100,"/b,20,200', *requests(1000, bad=1000)),
        right=NEVER_PASS,
    ),
    _log(
        "times that are not times",
        "failed requests have NaN, -1 and inf as times",
        log(*requests(1000), *(f"{n},/a,{text},500" for n in range(300) for text in ("nan", "-1", "inf"))),
        right=NEVER_PASS,
    ),
    _log(
        "semicolons",
        "as Excel saves them in Europe",
        log(*(line.replace(",", ";") for line in requests(2000, bad=400)), head="seconds;name;response_ms;status"),
        right=(FAIL, REFUSED),
    ),
    _log("out of order", "the failures come first", log(*reversed(requests(2000, bad=400)))),
    _log("CR CR LF in a log", "a log from Windows", log(*requests(2000, bad=400), end="\r\r\n"), kind="CR CR LF"),
    _log(
        "columns in another order",
        "in the order of the header line",
        log(
            *(
                f"{status},{ms},{name},{at}"
                for at, name, ms, status in (line.split(",") for line in requests(2000, bad=400))
            ),
            head="status,response_ms,name,seconds",
        ),
    ),
    _log(
        "a column is missing",
        "no status: nobody knows what failed",
        log(*(line.rpartition(",")[0] for line in requests(2000)), head="seconds,name,response_ms"),
        right=(REFUSED,),
    ),
    _log(
        "a log in UTF-16",
        "PowerShell's > file",
        log(*requests(2000, bad=400)).decode().encode("utf-16"),
        kind="UTF-16",
        right=(FAIL, REFUSED),
    ),
    _log(
        "unreadable lines",
        "a third can't be read and may be the failures",
        log(*requests(1000), *["what is this"] * 500),
        right=NEVER_PASS,
    ),
    _log(
        "refusals without a time",
        "91 of 10,091 are 429 without a time",
        log(*among(91, "{},/pay,,429", of=10_000)),
        kind="incomplete lines",
        expect="throttled_ratio < 0.5 %",
    ),
    _log(
        "timeouts without a time",
        "901 of 100,901 are 504",
        log(*among(901, "{},/pay,,504", of=100_000)),
        kind="incomplete lines",
        expect="p(99.9) < 200 ms",
        right=NEVER_PASS,
    ),
    *(
        _log(
            f"times that are bounds, {expect}",
            "50 of 10,050 took >30000",
            log(*among(50, "{},/pay,>30000,200", of=10_000)),
            kind="incomplete lines",
            expect=expect,
            right=NEVER_PASS,
        )
        for expect in ("max < 1 s", "p(99.8) < 1 s")
    ),
    _log(
        "a status of -1",
        "67 of 10,067 requests, where 0.7 % may fail",
        log(*among(67, "{},/pay,20,-1", of=10_000)),
        kind="incomplete lines",
        expect="error_ratio < 0.7 %",
        right=NEVER_PASS,
    ),
    *(
        _log(
            f"two statuses in a cell, {status}",
            "one of them is 500",
            log(*requests(2000, bad=400, status=status)),
            kind="two statuses in a cell",
            right=NEVER_PASS,
        )
        for status in ("200;500", "200 -> 500", '"200, 500"')
    ),
    _log(
        "nginx retried on a second upstream",
        "502, 200: the client received 200",
        log(*requests(2000, bad=400, status='"502, 200"')),
        kind="a good log",
        right=(PASS,),
    ),
    _log(
        "a few unreadable lines",
        "3 of 10,003, too few to change the verdict",
        log(*among(3, "what is this", of=10_000)),
        kind="a good log",
        right=(PASS,),
    ),
    _log(
        "two columns called status",
        "200 in the first, 500 in the second",
        log(*(f"{line},500" for line in requests(2000)), head="seconds,name,response_ms,status,status"),
        right=(REFUSED,),
    ),
    _log("no lines", "only the header line", log(), kind="only the header line", right=(INCONCLUSIVE, REFUSED)),
    _log(
        "a name that is a command",
        "endpoints named =cmd(), markup and control characters fail",
        log(*requests(1000), *requests(300, bad=300, name="<script>alert(1)</script>\x1b[31m=cmd()")),
        also=(_text(never="\x1b[31m"),),
    ),
)
