"""Runs the application until its parent exits: `python -m payments_api.backups.proof.underparent PID [ARGUMENT ...]`.

Watches the parent from the first moment: the application could only do so once everything is imported, and if the
parent were killed before that, it would keep running on an abandoned file.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Final

_POLL_S: Final = 0.1


def main() -> int:
    parent = int(sys.argv.pop(1))
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()
    from payments_api.backups.serving import serve

    return serve()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
