"""Runs the command that it is given, and stays when that has ended by itself, until it is stopped.

For docker-compose.yml, where the end of any container would stop the master before it can say what it measured.
"""

import signal
import subprocess
import sys


def exit_code(ended: int) -> int:
    """As a shell has it."""
    return 128 - ended if ended < 0 else ended


def stop(*_: object) -> None:
    """Leave, or have the command end first."""
    stop_requests.append(True)
    if command.returncode is not None:
        sys.exit(exit_code(command.returncode))
    command.terminate()


stop_requests: list[bool] = []
command = subprocess.Popen(sys.argv[1:])
# As process 1, or under an init that passes signals on.
signal.signal(signal.SIGTERM, stop)
code = exit_code(command.wait())
if not stop_requests:
    sys.stderr.write(f"{' '.join(sys.argv[1:])} has ended with {code}; its container stays until it is stopped\n")
    sys.stderr.flush()
    signal.pause()
sys.exit(code)
