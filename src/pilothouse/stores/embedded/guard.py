"""Runs one server for as long as anybody uses it, and stops it cleanly when the last user has gone.

`supervisor` starts this file as a program of its own, which outlives whoever started it: standard library only, so that
it is small (5 MB) and quick to start. Three locked files say who is alive; nothing is guessed from process ids or sockets:

- `users` is held shared by every process that uses the server. The guard asks for it exclusively and so gets it when
  the last user has gone, killed with -9 or not. It keeps it until the server is down: a newcomer waits, then starts
  a server of its own.
- `guard` is held by the guard. Whoever finds it free may start one, and hands the locked file on to it.
- `server` is held by the server and all its children, with the server's process id inside. If a guard was killed,
  the next one finds here what it left behind.
"""

import fcntl
import os
import signal
import sys
import threading
import time
from typing import NoReturn

GRACE_SECONDS = 60
"""How long a server may take to stop before it is killed."""
STEADY_SECONDS = 3
"""A server that ran this long and then died by itself is started again; one that died earlier can't run."""
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
"""The server needs no more, and must not see the secrets in ours."""
TERMINATIONS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Guard:
    """The locks are descriptors of open files: `users` and `server` not yet locked, `guard` locked already."""

    def __init__(self, users: int, guard: int, server: int, stop_signal: int) -> None:
        self._users = users
        self._guard = guard
        self._server = server
        self._stop_signal = stop_signal
        self._stopping = threading.Event()
        self._pid = 0

    def run(self, command: list[str], directory: str, account: str) -> None:
        """Run the server until it ends; start all over if it dies in the middle of its work."""
        signal.pthread_sigmask(signal.SIG_BLOCK, TERMINATIONS)
        self._lock_server()
        self._pid = os.fork()
        if self._pid == 0:
            self._become_server(command, directory, account)
        os.close(self._server)
        for watch in (self._stop_when_unused, self._stop_when_told):
            threading.Thread(target=watch, daemon=True).start()
        began = time.monotonic()
        os.waitpid(self._pid, 0)
        if not self._stopping.is_set() and time.monotonic() - began > STEADY_SECONDS:
            os.set_inheritable(self._guard, True)
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - this very program again

    def _lock_server(self) -> None:
        """Take the server's lock; children of a server that just died may hold it for a moment."""
        deadline = time.monotonic() + GRACE_SECONDS
        while True:
            try:
                return fcntl.flock(self._server, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    sys.exit("another server is at work on this data")
                time.sleep(0.05)

    def _become_server(self, command: list[str], directory: str, account: str) -> NoReturn:
        try:
            os.truncate(self._server, 0)
            os.write(self._server, str(os.getpid()).encode())
            os.set_inheritable(self._server, True)
            # Entered before the account changes: it may lie below directories that are closed to the account.
            os.chdir(directory)
            if account:
                user, group = map(int, account.split(":"))
                os.setgroups([])
                os.setgid(group)
                os.setuid(user)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execve(command[0], command, ENVIRONMENT)  # noqa: S606 - a list that the supervisor built
        except OSError as error:
            print(error, file=sys.stderr, flush=True)  # noqa: T201 - standard error is the server's log
        finally:
            os._exit(127)

    def _stop_when_unused(self) -> None:
        fcntl.flock(self._users, fcntl.LOCK_EX)
        self._stop()

    def _stop_when_told(self) -> None:
        signal.sigwait(TERMINATIONS)
        self._stop()

    def _stop(self) -> None:
        self._stopping.set()
        os.kill(self._pid, self._stop_signal)
        time.sleep(GRACE_SECONDS)
        os.kill(self._pid, signal.SIGKILL)


def main() -> None:
    users, guard, server, stop_signal, account, directory, *command = sys.argv[1:]
    if os.fork():
        os._exit(0)  # whoever started us waits for this, and is then not our parent any more
    os.setsid()
    os.umask(0o077)
    os.set_inheritable(int(guard), False)
    locks = os.open(users, os.O_RDWR), int(guard), os.open(server, os.O_RDWR)
    Guard(*locks, int(stop_signal)).run(command, directory, account)


if __name__ == "__main__":
    main()
