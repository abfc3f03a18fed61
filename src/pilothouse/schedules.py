"""When something is due again and again: a cron expression in a time zone.

Expressions are Debian's (`man 5 crontab`): minute, hour, day of month, month, day of week. Where there are six fields, the
first is seconds. What happens when clocks change is in `docs/schedules.md`.
"""

from datetime import UTC, datetime, tzinfo

import msgspec

from pilothouse.errors import InvalidRequest

_LONGEST = 200
_EXAMPLE = '"0 9 * * 1-5" is nine o\'clock from Monday to Friday'


class Schedule(msgspec.Struct, frozen=True):
    expression: str
    timezone: str | None = None
    """A name of the IANA database; None is UTC."""

    def after(self, now_ms: int) -> int | None:
        """The first time that is later, in Unix milliseconds; None if there is none within 50 years.

        Raises `InvalidRequest` for an expression that is wrong and for a zone that does not exist.
        """
        from cronsim import CronSim, CronSimError

        start = datetime.fromtimestamp(now_ms // 1000, _zone(self.timezone))
        if len(self.expression) > _LONGEST:
            raise InvalidRequest(f"The schedule is longer than {_LONGEST} characters: {_EXAMPLE}.")
        try:
            for time in CronSim(self.expression, start):
                due_ms = int(time.timestamp()) * 1000
                # In the hour that is there twice, cronsim may name the first when it is the second already.
                if due_ms > now_ms:
                    return due_ms
        except CronSimError as error:
            raise InvalidRequest(
                f"The schedule {self.expression!r} is not a cron expression ({str(error).lower()}): {_EXAMPLE}."
            ) from error
        return None


def _zone(name: str | None) -> tzinfo:
    if name is None or name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # a folder of zones, or no file's name at all
        raise InvalidRequest(
            f"There is no time zone {name[:100]!r}: use a name of the IANA database, such as Europe/Berlin."
        ) from error
