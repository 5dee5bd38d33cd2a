"""Kill a process with its group if the program that started this one is gone.

    python watchdog.py PID      standard input: a pipe that the program holds open

A pipe ends however its holder ends, ``kill -9`` included, which no handler in that program could promise. A word
on the pipe before its end says that all is well.
"""

import contextlib
import os
import signal
import subprocess
import sys


def main(pid: int) -> None:
    if os.read(0, 1):
        return
    if os.name == "nt":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], capture_output=True, check=False)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
