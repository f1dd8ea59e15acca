"""Bytes in any encoding become text, and back to the row that somebody means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.analysis.foreign.texts import Texts, could_be
from simulation.locustcsvs import STATS, stats_row, total_row
from tests.commands import in_process


def cell(text: str, page: str) -> str:
    return text.encode(page).decode("latin-1")


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("/查询", "gbk"),
        ("/café", "cp1252"),
        ("/платёж", "cp1251"),
        ("/注文する", "cp932"),
        ("/健康", "utf-8"),
        ("/a", "ascii"),
    ],
)
def test_a_text_is_shown_as_it_was_written(text, page):
    """In the code pages of the countries where Locust is used most."""
    texts = Texts([cell(text, page)])
    assert texts.of(cell(text, page)) == text
    assert bool(texts.notes) == (page not in {"utf-8", "ascii"})


@pytest.mark.parametrize("page", ["gbk", "cp949", "big5", "cp932", "utf-8"])
def test_a_name_written_in_utf_8_finds_it(page):
    """However it is shown."""
    assert could_be("/大小", cell("/大小", page))
    assert not could_be("/大小", cell("/小大", page))


@given(st.lists(st.binary(max_size=8), unique=True))
def test_no_two_texts_become_one(raw):
    """And each can be encoded."""
    cells = [one.decode("latin-1") for one in raw]
    texts = Texts(cells)
    shown = [texts.of(one) for one in cells]
    assert len(set(shown)) == len(cells)
    assert all(text.encode("utf-8") is not None for text in shown)


@pytest.mark.parametrize("endpoint", ["/付款", "GET /付款"])
def test_a_threshold_finds_the_row_that_it_names(tmp_path, endpoint):
    """With its own failures, although another name has as many bytes."""
    rows = [stats_row("/查询"), stats_row("/付款", requests=500, failures=400)]
    lines = [",".join(map(str, row)) for row in (STATS, *rows, total_row(1500, failures=400))]
    (tmp_path / "run_stats.csv").write_bytes("\r\r\n".join([*lines, ""]).encode("gbk"))
    file = tmp_path / "thresholds.yaml"
    file.write_text(f"thresholds: [{{endpoint: {endpoint}, expect: error_ratio < 1 %}}]", encoding="utf-8")
    done = in_process("report", tmp_path / "run", "--thresholds", file)
    assert done.returncode == 1, done.stderr
    assert "80 %" in done.stdout
    assert "付款" in (tmp_path / "run_summary.md").read_text(encoding="utf-8")
    assert "note: texts that are not in UTF-8" in done.stdout
