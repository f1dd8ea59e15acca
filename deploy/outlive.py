"""Runs a command, and stays alive after the command ended by itself until it is stopped.

For docker-compose.yml, where the end of any container would stop the master before it can report its results.
"""

import signal
import subprocess
import sys


def exit_code(ended: int) -> int:
    """The exit code as a shell reports it."""
    return 128 - ended if ended < 0 else ended


def stop(*_: object) -> None:
    """Exit, or stop the command first if it is still running."""
    stop_requests.append(True)
    if command.returncode is not None:
        sys.exit(exit_code(command.returncode))
    command.terminate()


stop_requests: list[bool] = []
command = subprocess.Popen(sys.argv[1:])
# Needed as process 1, which has no default handlers, and under an init that forwards signals.
signal.signal(signal.SIGTERM, stop)
code = exit_code(command.wait())
if not stop_requests:
    sys.stderr.write(f"{' '.join(sys.argv[1:])} has ended with {code}; its container stays until it is stopped\n")
    sys.stderr.flush()
    signal.pause()
sys.exit(code)
