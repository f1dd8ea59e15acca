"""The API for as long as one process lives: `python -m payments_api.backups.underparent PID [--port ...]`.

Watched from the first moment: the server's own --exit-with-parent only takes effect once everything is imported, and a
parent killed before that would leave an API running on an abandoned file.
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
    from payments_api.__main__ import main as serve

    return serve()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
