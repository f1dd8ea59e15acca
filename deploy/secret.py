"""Writes a new secret to a file unless the file exists, and waits until it is stopped.

For docker-compose.yml, where master and workers read it from a shared volume.
"""

import secrets
import signal
import sys
from pathlib import Path

file = Path(sys.argv[1])
# Needed as process 1, which has no default handlers, and under an init that forwards signals.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if not file.exists():
    draft = file.with_suffix(".new")
    draft.write_text(secrets.token_hex(32) + "\n")
    # Readable by all: the master runs as the user who started compose, and no other containers mount the volume.
    draft.chmod(0o444)
    draft.replace(file)
sys.stdout.write(f"{file}: there is a secret\n")
sys.stdout.flush()
signal.pause()
