"""Writes Locust's own four CSV files to the run directory, with full history and the final write that Locust lacks.

Source: locust/stats.py 2.47, StatsCSVFileWriter.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import gevent
from locust.stats import PERCENTILES_TO_REPORT, StatsCSVFileWriter

from loadproof.internals.locust import append_history
from loadproof.rundir import files

if TYPE_CHECKING:
    from pathlib import Path

    from locust.env import Environment


class LocustCsv:
    """The files of Locust's `--csv --csv-full-history` in a run directory, open until `close`."""

    def __init__(self, environment: Environment, run: Path) -> None:
        self._run = run
        prefix = str(run / files.LOCUST_PREFIX)
        self._writer = StatsCSVFileWriter(environment, PERCENTILES_TO_REPORT, prefix, full_history=True)
        self._writer.stats_history_csv_writer.writerow(self._writer.stats_history_csv_columns)

    def write(self) -> None:
        """Append to the history and rewrite the other files; the last call is the final write that Locust lacks."""
        append_history(self._writer)
        self._writer.stats_history_flush()
        for name, write in (
            ("stats", self._writer.requests_csv),
            ("failures", self._writer.failures_csv),
            ("exceptions", self._writer.exceptions_csv),
        ):
            # Yield before each file, so that arrivals don't wait for all of them.
            gevent.sleep(0)
            buffer = io.StringIO(newline="")
            write(csv.writer(buffer))
            files.write_whole(self._run / f"{files.LOCUST_PREFIX}_{name}.csv", buffer.getvalue())

    def close(self) -> None:
        """Close the files, which Locust would leave open until the process ends."""
        self._writer.close_files()
