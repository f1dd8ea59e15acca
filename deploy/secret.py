"""Writes a new secret to the file that it is given, unless there is one, and waits until it is stopped.

For docker-compose.yml, where master and workers read it from a volume of theirs.
"""

import secrets
import signal
import sys
from pathlib import Path

file = Path(sys.argv[1])
# As process 1, or under an init that passes signals on.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if not file.exists():
    draft = file.with_suffix(".new")
    draft.write_text(secrets.token_hex(32) + "\n")
    # The master runs as whoever started compose: all containers that mount the volume may read it, and no others do.
    draft.chmod(0o444)
    draft.replace(file)
sys.stdout.write(f"{file}: there is a secret\n")
sys.stdout.flush()
signal.pause()
