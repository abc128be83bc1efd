"""Runs a command for as long as the process that asked for it lives, and not a moment longer.

    python watchdog.py SCRATCH COMMAND...

The command's life hangs on this process's standard input. A line `stop` ends the command; the end of the input, which
is what the kernel makes of a parent that died in whatever way (SIGKILL too), ends it as well and removes the folder
SCRATCH, since nobody else is left to do it. A pipe was chosen over PR_SET_PDEATHSIG because that one fires when the
*thread* that started the child ends, and exists on Linux only.

Uses the standard library only: it is started by path, without the package.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading

GRACE_S = 10.0


def main(scratch: str, command: list[str]) -> int:
    """Run `command` until it ends, `stop` is read, or the parent is gone; returns its exit status."""
    # The parent decides when to stop; a signal to the whole process group must not end the watch early. A handler that
    # does nothing, and not SIG_IGN: the command would inherit that, and SIGTERM is how it is asked to stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603

    def leave_with_the_child() -> None:
        status = child.wait()
        if not stopping.is_set():
            os._exit(status if status >= 0 else 128 - status)

    stopping = threading.Event()
    threading.Thread(target=leave_with_the_child, daemon=True).start()
    orphaned = sys.stdin.readline() != "stop\n"
    stopping.set()
    child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if orphaned:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
