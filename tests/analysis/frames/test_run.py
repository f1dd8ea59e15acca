"""Loading run directories, complete and damaged."""

from __future__ import annotations

import random

import pytest

from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.errors import RunDirectoryError
from loadproof.rundir import files
from loadproof.rundir.intervals import append_intervals
from loadproof.rundir.manifest import read_manifest, write_manifest
from loadproof.rundir.rows import GeneratorRow, IntervalRow
from simulation.rundirs import write_run
from tests.profiles import simulations


def test_a_complete_run_has_its_columns_and_no_damage(tmp_path):
    """Numbers are numbers, and equal keys are added up."""
    write_run(tmp_path)
    rows = [IntervalRow(1, "warm-up", "health", "ok", "response", 7, 2)] * 3
    append_intervals(tmp_path / files.INTERVALS, rows)
    run = load_run(tmp_path)
    assert run.damage == ()
    assert run.measured_s == 45
    keys = run.intervals.drop(columns="count")
    assert not keys.duplicated().any()
    cell = run.intervals[(run.intervals["bucket"] == 7) & (run.intervals["series"] == "response")]
    assert cell["count"].tolist() == [6]


@pytest.mark.slow
@pytest.mark.parametrize("name", [files.INTERVALS, files.GENERATOR, files.TARGET, files.EVENTS])
def test_a_missing_file_is_reported_and_the_rest_is_read(tmp_path, name):
    """A killed run may lack any of them."""
    write_run(tmp_path)
    (tmp_path / name).unlink()
    run = load_run(tmp_path)
    assert run.damage == (f"{name} is missing",)
    verdict_on_run(run)


@pytest.mark.slow
def test_a_service_without_metrics_lacks_nothing(tmp_path):
    """Your own service need not have /metrics; only the embedded target is certain to have them."""
    write_run(tmp_path)
    (tmp_path / files.TARGET).unlink()
    manifest = read_manifest(tmp_path)
    write_manifest(tmp_path, manifest.model_copy(update={"target": manifest.target.model_copy(update={"kind": "own"})}))
    run = load_run(tmp_path)
    assert run.damage == ()
    assert verdict_on_run(run).findings == ()


def test_garbage_lines_are_left_out_and_counted(tmp_path):
    """Garbage, too few columns, letters in place of numbers."""
    write_run(tmp_path)
    before = len(load_run(tmp_path).generator)
    with (tmp_path / files.GENERATOR).open("a") as file:
        file.write("garbage\n1,2\nx,local,a,b,c,d,e,f,g,h,i\n" + "1," * 30 + "1\n")
    run = load_run(tmp_path)
    assert len(run.generator) == before
    assert run.damage == ("generator.csv: 4 unreadable lines were left out",)


def test_impossible_cells_are_left_out_and_counted(tmp_path):
    """An unknown series or outcome, a bucket beyond the last, a negative count."""
    write_run(tmp_path)
    before = int(load_run(tmp_path).intervals["count"].sum())
    good = IntervalRow(1, "steady", "health", "ok", "response", 7, 1)
    bad = [good._replace(series="x"), good._replace(outcome="x"), good._replace(bucket=9999), good._replace(count=-4)]
    append_intervals(tmp_path / files.INTERVALS, bad)
    run = load_run(tmp_path)
    assert int(run.intervals["count"].sum()) == before
    assert run.damage == ("intervals.csv.gz: 4 unreadable lines were left out",)


def test_a_directory_without_a_manifest_is_no_run(tmp_path):
    """The only file that the analysis can't do without."""
    with pytest.raises(RunDirectoryError):
        load_run(tmp_path)


@pytest.mark.slow
def test_random_damage_never_raises(tmp_path):
    """Bytes flipped and files cut at random still give a verdict."""
    chance = random.Random(4)
    write_run(tmp_path)
    names = [files.INTERVALS, files.GENERATOR, files.TARGET, files.EVENTS]
    originals = {name: (tmp_path / name).read_bytes() for name in names}
    for _ in range(simulations(40)):
        for name, content in originals.items():
            damaged = bytearray(content[: chance.randrange(len(content) + 1)])
            for _ in range(chance.randrange(4) if damaged else 0):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            (tmp_path / name).write_bytes(damaged)
        verdict_on_run(load_run(tmp_path))


def test_a_second_row_for_the_last_second_in_older_records_is_merged(tmp_path):
    """Its counts belong to the run, its CPU does not."""
    run = write_run(tmp_path / "run")
    last = load_run(run).generator.iloc[-1]
    row = GeneratorRow(**last.to_dict() | {"cpu_ratio": 1.11, "sent": 2, "abandoned": 1})
    files.append_rows(run / files.GENERATOR, [row])
    rows = load_run(run).generator
    assert rows["second"].is_unique
    assert rows["cpu_ratio"].max() == 0.3
    assert (rows["sent"].iloc[-1], rows["abandoned"].iloc[-1]) == (last["sent"] + 2, 1)


def test_the_last_second_counts_for_its_actual_length(tmp_path):
    """A second that is only off by jitter counts as whole."""
    run = write_run(tmp_path / "run", lived_s=20)
    assert load_run(run).measured_s == 20
    row = GeneratorRow(20, "local", 0.3, 0.0, 0.001, 0.001, 100, 3, 0, 0, 0, length_s=0.4)
    files.append_rows(run / files.GENERATOR, [row])
    assert load_run(run).measured_s == pytest.approx(20.4)
    write_run(tmp_path / "late", lived_s=20)
    files.append_rows(tmp_path / "late" / files.GENERATOR, [row._replace(length_s=0.996)])
    assert load_run(tmp_path / "late").measured_s == 21


def test_a_file_without_the_newest_columns_is_read_with_their_defaults(tmp_path):
    """Baselines of earlier versions stay readable."""
    run = write_run(tmp_path / "run")
    path = run / files.GENERATOR
    newest = len(GeneratorRow._field_defaults)
    path.write_text("".join(f"{line.rsplit(',', newest)[0]}\n" for line in path.read_text().splitlines()))
    loaded = load_run(run)
    assert loaded.damage == ()
    assert (loaded.generator["sent"].sum(), loaded.generator["wait_ratio"].max()) == (
        load_run(write_run(tmp_path / "whole")).generator["sent"].sum(),
        0.0,
    )
