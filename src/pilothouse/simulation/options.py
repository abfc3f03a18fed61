"""What is simulated."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The defaults are Cloud Run's, where it has one."""

    path: Path
    """What is served: a folder with `pilothouse.toml` or `langgraph.json`, or such a file."""
    data: Path
    """Where the embedded servers keep their files; the instances share them."""
    redis: str | None = None
    """The Redis that they share; without it, the embedded one runs as long as the simulation."""
    environ: Mapping[str, str] | None = None
    """The instances' environment; without it, this process's. `PORT` and Cloud Run's own are added."""
    arguments: tuple[str, ...] = ()
    """More of the command line of `pilothouse serve`."""
    command: tuple[str, ...] = ()
    """What an instance runs instead of `pilothouse serve`: a program that answers `/ok` on loopback's port `PORT`."""

    least: Annotated[int, msgspec.Meta(ge=0)] = 0
    """So many instances are there always; with 0 the first request waits for a cold start."""
    most: Count = 100
    concurrency: Count = 80
    """How many requests an instance is given at once."""
    timeout: timedelta = timedelta(seconds=300)
    """After so long a request is cut off, whatever it waits for."""
    longest_wait: timedelta | None = None
    """So long may a request wait for an instance; without it, 10 s or 3.5 times the average startup if that is more."""
    idle: timedelta = timedelta(minutes=15)
    """An instance that is not needed is stopped after so long without a request."""
    cpu: Literal["always", "request"] = "always"
    """`request`: an instance with no request is frozen."""
    session_affinity: bool = False
    chaos: timedelta | None = None
    """So often does something break."""
    seed: int | None = None
    """Of chaos: the same seed breaks the same things in the same order."""

    @property
    def logs(self) -> Path:
        """The folder of what the instances write."""
        return self.data / "simulation"
