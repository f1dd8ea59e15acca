"""A module for as long as one process lives: `python -m payments_api.backups.underparent PID MODULE [ARGUMENT ...]`.

Watched from the first moment: an application could only do so once everything is imported, and a parent killed before
that would leave it running on an abandoned file.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import time
from typing import Final

_POLL_S: Final = 0.1


def main() -> None:
    parent, module, *arguments = sys.argv[1:]
    threading.Thread(target=_end_with, args=[int(parent)], daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os._exit(1)


if __name__ == "__main__":
    main()
