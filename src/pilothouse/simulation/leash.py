"""Kills the instances when the simulator has died, however it died.

`processes` starts this file as a program of its own: standard library only, so that it is small and quick to start. Its
standard input is a pipe from the simulator: a line `+ID` for each process group that began, `-ID` for one that is over. The
end of the pipe is the simulator's.
"""

import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    # What ends the simulator from the terminal must not end its leash first.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
