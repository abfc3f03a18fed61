"""The account that a server runs as, where it may not run as root."""

import os
from pathlib import Path

import msgspec

from pilothouse.errors import ConfigurationError

UNPRIVILEGED = ("postgres", "nobody")


class Account(msgspec.Struct, frozen=True):
    name: str
    uid: int
    gid: int


def account_for(data: Path, remedy: str) -> Account | None:
    """The account to run a server as whose data are in this directory: None is our own, when we are not root.

    Existing data stay with their owner. Raises `ConfigurationError`, ending in `remedy`, where there is no account to use.
    """
    if os.geteuid() != 0:
        return None
    import pwd  # not on Windows

    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(name=str(owner.st_uid), uid=owner.st_uid, gid=owner.st_gid)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise ConfigurationError(
        f"PostgreSQL does not run as root, and there is no account {' or '.join(UNPRIVILEGED)} to run it as. {remedy}"
    )
