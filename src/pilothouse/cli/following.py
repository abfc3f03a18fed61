"""A run, followed to its end over as many connections as it takes.

The events of a run are numbered, and the last frame of each carries its number as `id`. When a connection breaks, the
next one asks for what follows the last number seen. Frames are handed on only when their event is whole, so that none
comes twice. A run is over when its `end` was read, not when a connection closes.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, cast
from uuid import uuid4

import msgspec

from pilothouse.cli.client import SILENCE_SECONDS, Client, Refused, Reply, Unreachable

GIVE_UP_SECONDS = 60
"""So long is a server waited for that has gone."""
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0


class Frame(msgspec.Struct, frozen=True):
    """One server-sent event. An `id` ends what belongs together."""

    event: str
    data: Any
    id: str | None = None


def read_frames(lines: Iterable[bytes]) -> Iterator[Frame]:
    """The frames of a stream; one that was cut off in the middle is left out."""
    fields: dict[str, list[str]] = {}
    for raw in lines:
        line = raw.decode(errors="replace").rstrip("\r\n")
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        elif raw.endswith(b"\n") and "data" in fields:
            yield Frame(
                event=fields.get("event", ["message"])[-1],
                data=msgspec.json.decode("\n".join(fields["data"])),
                id=fields.get("id", [None])[-1],
            )
            fields = {}
        else:
            fields = {}


class Following:
    """One run of a thread: started or joined, followed, cancelled."""

    def __init__(
        self,
        client: Client,
        thread_id: str,
        body: Mapping[str, object],
        on_connection: Callable[[bool], None],
        run_id: str | None = None,
    ) -> None:
        """`body` is the run to start; with a `run_id`, that run is joined instead, in the body's `stream_mode`. `on_connection` is
        told when the connection is lost, and when there is one again."""
        self._client = client
        self._runs = f"/threads/{thread_id}/runs"
        self._ticket = str(uuid4())
        """By this we find our run again when the answer to its start was lost."""
        self._modes = ",".join(cast("Sequence[str]", body["stream_mode"]))
        self._body = {**body, "metadata": {"ticket": self._ticket}}
        self._on_connection = on_connection
        self._run_id = run_id
        self._after = "0"
        self._is_cancel_due = False
        self._rested()

    def frames(self) -> Iterator[Frame]:
        """Every frame once, in order, to the `end`.

        Raises `Refused` if the run can't be started or is gone, `Unreachable` when the server stayed away too long.
        """
        connect = self._start if self._run_id is None else self._go_on
        while True:
            try:
                with connect() as reply:
                    self._run_id = self._run_id or reply.run_id
                    self._send_cancel()
                    for frame in self._whole_events(reply):
                        yield frame
                        if frame.event == "end":
                            return
            except Unreachable:
                pass
            except Refused as error:
                if connect == self._start or error.status < 500:
                    raise
            self._on_connection(False)
            self._wait_for_server()
            self._on_connection(True)
            connect = self._go_on

    def cancel(self) -> None:
        """End the run; its `end` is still to come. Where it can't be told yet, it is told as soon as it can."""
        self._is_cancel_due = True
        with suppress(Unreachable):
            self._send_cancel()

    def _send_cancel(self) -> None:
        if self._is_cancel_due and self._run_id is not None:
            self._client.call("POST", f"{self._runs}/{self._run_id}/cancel", timeout=5)
            self._is_cancel_due = False

    def _whole_events(self, reply: Reply) -> Iterator[Frame]:
        held: list[Frame] = []
        for frame in read_frames(reply.lines()):
            held.append(frame)
            if frame.id is not None:
                self._after = frame.id
                self._rested()
                yield from held
                held.clear()
        for frame in held:
            if frame.event == "error":  # not of the log: the run was deleted meanwhile
                raise Refused(str(frame.data.get("message", "The run is gone.")), 404)

    def _start(self) -> AbstractContextManager[Reply]:
        return self._client.open("POST", f"{self._runs}/stream", self._body, timeout=SILENCE_SECONDS)

    def _go_on(self) -> AbstractContextManager[Reply]:
        self._run_id = self._run_id or self._find()
        if self._run_id is None:
            return self._start()
        return self._client.open(
            "GET",
            f"{self._runs}/{self._run_id}/stream?stream_mode={self._modes}",
            headers={"last-event-id": self._after},
            timeout=SILENCE_SECONDS,
        )

    def _find(self) -> str | None:
        runs = self._client.call("GET", self._runs)
        return next((r["run_id"] for r in runs if r["metadata"].get("ticket") == self._ticket), None)

    def _rested(self) -> None:
        """Something has come: the next break is the first again."""
        self._pause = _FIRST_PAUSE_SECONDS
        self._last_sign = time.monotonic()

    def _wait_for_server(self) -> None:
        while True:
            time.sleep(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
            try:
                self._client.call("GET", "/ok", timeout=2)
                return
            except (Unreachable, Refused):
                if time.monotonic() - self._last_sign > GIVE_UP_SECONDS:
                    raise
