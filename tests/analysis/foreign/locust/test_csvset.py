"""Which of Locust's files a path means, whatever they are called."""

from __future__ import annotations

import pytest

from loadproof.analysis.foreign.locust.csvfiles import load_locust_run
from loadproof.analysis.foreign.locust.csvset import csv_set
from loadproof.analysis.foreign.locust.rows import FAILURES, HISTORY, STATS
from loadproof.errors import InputError
from simulation.locustcsvs import FAILURES as COLUMNS
from simulation.locustcsvs import stats_row, total_row, write, write_stats
from tests.commands import in_process

FAILED = [*COLUMNS, "First Seen", "Last Seen"]


def stats_at(path):
    """A run with 900 failures in 1,000 requests, its totals under this name."""
    prefix = write_stats(path.parent / "made", [stats_row("/a", failures=900), total_row(failures=900)])
    prefix.with_name("made_stats.csv").rename(path)


@pytest.mark.parametrize("given", ["a/run", "a/run_stats.csv", "a/run_stats_history.csv", "a/run_failures.csv"])
def test_one_of_the_files_may_be_given_instead_of_the_prefix(tmp_path, given):
    """As a shell completes it."""
    found = csv_set(tmp_path / given)
    assert (found.directory, found.prefix) == (tmp_path / "a", "run")
    assert found.paths[HISTORY] == tmp_path / "a/run_stats_history.csv"


@pytest.mark.parametrize("given", ["x_requests.csv", "x_failures.csv", "x"])
def test_downloads_of_the_web_ui_are_recognised(tmp_path, given):
    """It calls the totals `requests`."""
    stats_at(tmp_path / "x_requests.csv")
    write(tmp_path / "x", "failures", FAILED, [["GET", "/a", "boom", 900, 1, 2]])
    run = load_locust_run(tmp_path / given)
    assert (run.total.requests, run.total.failures, run.failures[0].occurrences) == (1000, 900, 900)
    assert run.files == ("x_requests.csv", "x_failures.csv")


def test_the_file_that_was_given_is_the_one_that_is_read(tmp_path):
    """Even if the web UI's download is next to a file from --csv."""
    stats_at(tmp_path / "x_requests.csv")
    write_stats(tmp_path / "x", [stats_row("/b", requests=5)])
    assert load_locust_run(tmp_path / "x_requests.csv").total.requests == 1000
    assert load_locust_run(tmp_path / "x").total.requests == 5


@pytest.mark.parametrize("name", ["requests_1700000000.12.csv", "totals.txt", "stats"])
def test_a_file_with_any_name_is_recognised_by_its_first_line(tmp_path, name):
    """Older web UIs put the time into the name."""
    stats_at(tmp_path / name)
    found = csv_set(tmp_path / name)
    assert found.paths[STATS] == tmp_path / name
    assert not found.paths[FAILURES].exists()
    assert load_locust_run(tmp_path / name).total.failures == 900


@pytest.mark.parametrize("content", [b"", b"seconds,name,response_ms,status\n1,a,2,200\n", b"\xff\xfe\x00"])
def test_a_file_that_is_none_of_them_is_refused(tmp_path, content):
    """With its first line."""
    (tmp_path / "requests.csv").write_bytes(content)
    with pytest.raises(InputError, match="not one of Locust's CSVs"):
        csv_set(tmp_path / "requests.csv")


@pytest.mark.parametrize("given", ["", "_stats.csv"])
def test_an_empty_prefix_is_valid(tmp_path, given):
    """`--csv DIR/` writes DIR/_stats.csv."""
    stats_at(tmp_path / "_stats.csv")
    done = in_process("report", tmp_path / given)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1,000 requests" in done.stdout
    assert "900 failed" in done.stdout
    assert (tmp_path / "_report.html").exists()


def test_a_prefix_may_have_the_same_name_as_a_directory(tmp_path):
    """If the directory has something else in it."""
    (tmp_path / "run").mkdir()
    stats_at(tmp_path / "run_stats.csv")
    assert in_process("report", tmp_path / "run").returncode == 0
    assert "no readable manifest" in in_process("report", tmp_path).stderr
