"""Where a server's Unix socket is.

The path of a socket is limited to about 100 bytes, that of a data directory is not. The socket lies with the data where
it can, else in a private directory for temporary files, to which the link `sockets` leads whoever shares the server.
"""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from pilothouse.errors import ConfigurationError
from pilothouse.stores.embedded.accounts import Account

PATH_LIMIT_BYTES = 103
"""On macOS; Linux allows 107."""


def socket_directory(home: Path) -> Path:
    """The directory that the running server of this home has its socket in."""
    link = home / "sockets"
    return link.readlink() if link.is_symlink() else home / "data"


def make_socket_directory(home: Path, file_name: str, account: Account | None = None) -> Path:
    """The directory for the socket of a server that is about to start, owned by the account it runs as."""
    link = home / "sockets"
    link.unlink(missing_ok=True)
    if len(os.fsencode(home / "data" / file_name)) <= PATH_LIMIT_BYTES:
        return home / "data"
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]
    directory = Path(tempfile.gettempdir(), f"pilothouse-{os.geteuid()}-{digest}")
    _make_own(directory, account)
    link.symlink_to(directory)
    return directory


def _make_own(directory: Path, account: Account | None) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    owners = {os.geteuid(), account.uid if account else os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners or found.st_mode & 0o077:
        raise ConfigurationError(
            f"{directory} was made by somebody else: remove it, or choose a shorter --data."
        )
    if account:
        os.chown(directory, account.uid, account.gid)
