"""The program `loadproof`: how it starts and how it ends."""

from __future__ import annotations

import sys
import traceback

from loadproof.cli.console.memory import check_memory, is_want_of_memory, out_of_memory
from loadproof.cli.console.terminal import take_outputs
from loadproof.errors import ExitCode, LoadproofError


def main() -> None:
    """Run the program; an expected error is reported in one line, a bug with its traceback."""
    take_outputs()
    try:
        check_memory()
        # Its imports take up most of the memory.
        from loadproof.cli.commands import commands

        commands()
    except LoadproofError as error:
        _end(error)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - anything else is a bug of ours
        if is_want_of_memory(error):
            _end(out_of_memory(error))
        traceback.print_exc()
        sys.exit(ExitCode.BUG)


def _end(error: LoadproofError) -> None:
    for problem in error.problems:
        sys.stderr.write(f"{problem}\n")
    sys.exit(error.exit_code)
