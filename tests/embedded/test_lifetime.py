"""An embedded server lives while any process uses it, and stops cleanly when the last one goes, however it goes."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from .conftest import Home, User, wait_for

NewUser = Callable[[], User]


@pytest.mark.parametrize("how", ["clean exit", "SIGTERM", "SIGKILL"])
def test_the_server_stops_cleanly_when_its_only_user_goes(home: Home, new_user: NewUser, how: str) -> None:
    user = new_user()
    home.write(user.url(), "kept")
    user.leave(how)
    home.wait_until_stopped()
    assert home.stopped_cleanly()
    assert home.read(new_user().url()) == ["kept"]


def test_the_server_outlives_the_process_that_started_it_while_another_uses_it(
    home: Home, new_user: NewUser
) -> None:
    first = new_user()
    url = first.url()
    second = new_user()
    assert second.url() == url
    server = home.pid
    first.leave("SIGKILL")
    home.write(url, "after the first has gone")
    assert home.pid == server
    second.leave("SIGKILL")
    home.wait_until_stopped()
    assert home.stopped_cleanly()


def test_a_newcomer_gets_a_server_of_its_own_while_the_old_one_stops(home: Home, new_user: NewUser) -> None:
    first = new_user()
    home.write(first.url(), "before")
    old = home.pid
    os.kill(old, signal.SIGSTOP)  # so that stopping takes as long as we want
    first.leave("SIGKILL")
    wait_for(home.is_stopping, "the guard to notice")
    newcomer = new_user()
    os.kill(old, signal.SIGCONT)
    assert home.read(newcomer.url()) == ["before"]
    assert home.pid != old


def test_processes_that_start_at_once_share_one_server(home: Home, new_user: NewUser) -> None:
    users = [new_user() for _ in range(4)]
    assert len({user.url() for user in users}) == 1
    server = home.pid
    for user in users[:-1]:
        user.leave("SIGKILL")
    assert home.pid == server
    assert not home.is_stopped()


def _kill_all(home: Home, user: User) -> None:
    """A power cut: nobody gets to clean up."""
    server = home.pid
    processes = [psutil.Process(home.guard_pid), psutil.Process(server), *psutil.Process(server).children()]
    user.process.kill()
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=10)


def test_stale_sockets_and_pid_files_do_not_stop_the_next_start(home: Home, new_user: NewUser) -> None:
    user = new_user()
    home.write(user.url(), "before the power cut")
    _kill_all(home, user)
    assert list(home.path.glob("data/*.sock")) + list(home.path.glob("data/postmaster.pid"))
    assert home.read(new_user().url()) == ["before the power cut"]


@pytest.mark.parametrize("home", ["postgres"], indirect=True)
def test_a_pid_file_whose_number_is_now_another_process_does_not_stop_the_next_start(
    home: Home, new_user: NewUser
) -> None:
    user = new_user()
    home.write(user.url(), "before the power cut")
    _kill_all(home, user)
    owner = (home.path / "data").stat().st_uid
    with subprocess.Popen(["sleep", "60"], user=owner) as unrelated:
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            file = home.path / "data" / name
            file.write_text(file.read_text().replace(str(home.pid), str(unrelated.pid)))
        try:
            assert home.read(new_user().url()) == ["before the power cut"]
        finally:
            unrelated.kill()


def test_a_server_whose_guard_was_killed_is_replaced_at_the_next_start(home: Home, new_user: NewUser) -> None:
    user = new_user()
    home.write(user.url(), "kept")
    orphan = psutil.Process(home.pid)
    os.kill(home.guard_pid, signal.SIGKILL)
    user.leave("SIGKILL")
    assert home.read(new_user().url()) == ["kept"]
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def test_a_server_that_dies_in_the_middle_of_its_work_is_started_again(home: Home, new_user: NewUser) -> None:
    url = new_user().url()
    started = time.monotonic()
    home.write(url, "kept")
    server = psutil.Process(home.pid)
    wait_for(lambda: time.monotonic() - started > 3.2, "the server to be past its start")
    server.kill()

    def is_back() -> bool:
        try:
            return home.read(url) == ["kept"]
        except Exception:  # noqa: BLE001 - whatever the two clients raise while nothing listens
            return False

    wait_for(is_back, "the server to come back")
    assert home.pid != server.pid


def test_the_guard_stops_the_server_when_the_machine_shuts_down(home: Home, new_user: NewUser) -> None:
    new_user().url()
    os.kill(home.guard_pid, signal.SIGTERM)
    home.wait_until_stopped()
    assert home.stopped_cleanly()


def test_the_server_does_not_see_the_environment_of_its_user(home: Home, new_user: NewUser) -> None:
    new_user().url()
    assert "hunter2" not in str(psutil.Process(home.pid).environ())


def test_the_data_are_closed_to_other_accounts(home: Home, new_user: NewUser, data: Path) -> None:
    data.chmod(0o755)
    new_user().url()
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert (home.path / "data").stat().st_mode & 0o777 == 0o700
    assert data.stat().st_mode & 0o777 == 0o755, "the user's own directory stays as it was"
