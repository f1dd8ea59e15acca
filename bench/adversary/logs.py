"""Request logs, whole, odd and broken, given to `loadproof report --log`."""

from __future__ import annotations

from collections.abc import Iterator

from bench.adversary.case import FAIL, INCONCLUSIVE, PASS, REFUSED, Case, Check, Played
from bench.adversary.play import Report

ERRORS: list[dict[str, object]] = [{"expect": "error_ratio < 1 %"}]
NEVER_PASS = (FAIL, INCONCLUSIVE, REFUSED)


def log(*lines: str, end: str = "\n", head: str = "seconds,name,response_ms,status") -> bytes:
    return (end.join([head, *lines]) + end).encode()


def requests(count: int, *, bad: int = 0, at: str = "{}", name: str = "/a", status: str = "500") -> list[str]:
    """So many, ten a second; the last `bad` of them failed."""
    return [
        f"{at.format(number // 10)},{name},20.5,{status if number >= count - bad else 200}" for number in range(count)
    ]


def _log(
    name: str,
    tries: str,
    content: bytes,
    *,
    kind: str | None = None,
    right: tuple[str, ...] = (FAIL,),
    also: tuple[Check, ...] = (),
) -> Case:
    play = Report(files={"requests.csv": content}, what=("--log", "DIR/requests.csv"), thresholds=ERRORS)
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
        "a fifth failed",
        log(*requests(2000, bad=400, at="17500000{:03d}000")),
        kind="units of time",
    ),
    _log(
        "a log in ISO 8601",
        "a fifth failed",
        log(*requests(590, bad=120, at="2026-01-01T10:00:{:02d}Z")),
        kind="units of time",
    ),
    _log(
        "texts as status",
        "the failures are texts",
        log(*requests(2000, bad=400, status="Non HTTP response code: SocketTimeout")),
    ),
    _log("status 0", "no answer came", log(*requests(2000, bad=400, status="0")), kind="texts as status"),
    _log(
        "no status",
        "the cell is empty where nothing came",
        log(*requests(2000, bad=400, status="")),
        kind="texts as status",
        right=NEVER_PASS,
    ),
    _log(
        "names like NA",
        "NA, null, nan and none fail",
        log(
            *requests(1000),
            *(line for name in ("NA", "null", "nan", "None", "") for line in requests(100, bad=100, name=name)),
        ),
    ),
    _log(
        "a quote that never closes",
        "the failures come after it",
        log(*requests(1000), '100,"/b,20,200', *requests(1000, bad=1000)),
        right=NEVER_PASS,
    ),
    _log(
        "times that are none",
        "failed requests have NaN, -1 and inf",
        log(*requests(1000), *(f"{n},/a,{text},500" for n in range(300) for text in ("nan", "-1", "inf"))),
        right=NEVER_PASS,
    ),
    _log(
        "semicolons",
        "as Excel saves them in Europe",
        log(*(line.replace(",", ";") for line in requests(2000, bad=400)), head="seconds;name;response_ms;status"),
        right=(FAIL, REFUSED),
    ),
    _log("out of order", "the failures stand first", log(*reversed(requests(2000, bad=400)))),
    _log("CR CR LF in a log", "a log of Windows", log(*requests(2000, bad=400), end="\r\r\n"), kind="CR CR LF"),
    _log(
        "columns in another order",
        "as their heads say",
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
        "lines of rubbish",
        "a third can't be read, and may be the failures",
        log(*requests(1000), *["what is this"] * 500),
        right=NEVER_PASS,
    ),
    _log("no line", "the head alone", log(), kind="only the head", right=(INCONCLUSIVE, REFUSED)),
    _log(
        "a name that is a command",
        "=cmd(), markup and control characters fail",
        log(*requests(1000), *requests(300, bad=300, name="<script>alert(1)</script>\x1b[31m=cmd()")),
        also=(_text(never="\x1b[31m"),),
    ),
)
