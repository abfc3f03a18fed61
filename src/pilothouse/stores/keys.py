"""The names of every Redis key.

A thread, its runs, their logs and the queue that they wait in share a partition, and with it a hash slot: what must
change together changes in one script, on a cluster too. A thread's partition is a hash of its id; a run's id ends in
its thread's partition, so that a run can be found by its id alone.

Every key that belongs to a user carries the user's id: a store without a principal could not even name it.
"""

from zlib import crc32

from pilothouse.events import RunId, ThreadId
from pilothouse.ports.crons import CronId
from pilothouse.ports.principals import Principal

PARTITIONS = 16
"""Fixed for good: another number would lose every key."""

WORKERS = "workers"
"""The consumer group of each partition's queue."""

_HEX = frozenset("0123456789abcdef")


def partition_of_thread(thread_id: ThreadId) -> int:
    return crc32(thread_id.encode()) % PARTITIONS


def partition_of_run(run_id: RunId) -> int:
    """0 for what can't be an id of ours, which is then not found there."""
    last = run_id[-1:]
    return int(last, 16) if last in _HEX else 0


def prefix(partition: int) -> str:
    return f"ph:{{{partition}}}"


def thread(principal: Principal, thread_id: ThreadId) -> str:
    """A hash: the thread's record. Prefix of all that belongs to the thread."""
    return f"{prefix(partition_of_thread(thread_id))}:t:{principal.user}:{thread_id}"


def begun(principal: Principal, thread_id: ThreadId) -> str:
    """A sorted set: the thread's runs by their number; and the channel that says that there is one more."""
    return f"{thread(principal, thread_id)}:begun"


def calls(principal: Principal, thread_id: ThreadId) -> str:
    """A hash: the tool calls of the thread's newest turn."""
    return f"{thread(principal, thread_id)}:calls"


def run(run_id: RunId) -> str:
    """A hash: the run's record, its owner and its attempt."""
    return f"{prefix(partition_of_run(run_id))}:r:{run_id}"


def log(run_id: RunId) -> str:
    """A stream: the run's events. Entry ids are `OFFSET-0`."""
    return f"{run(run_id)}:log"


def queue(partition: int) -> str:
    """A stream: the runs that are due, one entry each; its pending list holds the leases."""
    return f"{prefix(partition)}:queue"


def user_runs(principal: Principal) -> str:
    """A sorted set: the user's runs that had not ended when they were looked at last, by their start."""
    return f"ph:{{u:{principal.user}}}:runs"


def hooks(partition: int) -> str:
    """A sorted set: the runs whose end is to be told to a webhook, by the time when it is next tried."""
    return f"{prefix(partition)}:hooks"


def hook(run_id: RunId) -> str:
    """A hash: the run as it was at its end, for its webhook."""
    return f"{prefix(partition_of_run(run_id))}:hook:{run_id}"


def partition_of_cron(cron_id: CronId) -> int:
    return crc32(cron_id.encode()) % PARTITIONS


def cron(principal: Principal, cron_id: CronId) -> str:
    """A hash: the cron's record."""
    return f"{prefix(partition_of_cron(cron_id))}:c:{principal.user}:{cron_id}"


def due_crons(partition: int) -> str:
    """A sorted set: the crons that will fire ("USER CRON"), by their next time."""
    return f"{prefix(partition)}:crons"


def crons(principal: Principal) -> str:
    """A sorted set: the user's cron ids by the time when they were made."""
    return f"ph:{{u:{principal.user}}}:crons"


def threads(principal: Principal) -> str:
    """A sorted set: the user's thread ids by their last change."""
    return f"ph:{{u:{principal.user}}}:threads"
