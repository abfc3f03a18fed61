"""UUID version 7 (RFC 9562): ids that sort by the time when they were made."""

import secrets
import time
from uuid import UUID


def uuid7() -> UUID:
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    high = milliseconds << 16 | 0x7000 | random >> 62
    low = 0b10 << 62 | random & ((1 << 62) - 1)
    return UUID(int=high << 64 | low)
