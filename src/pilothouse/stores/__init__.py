"""What is kept: in Redis and in PostgreSQL."""

import sys

if "opentelemetry" not in sys.modules:
    # redis-py imports OpenTelemetry's SDK wherever it is installed, for metrics of its own that nobody asked for: 30 ms of a
    # server's start. It does without where the import fails.
    sys.modules["opentelemetry"] = None  # pyright: ignore[reportArgumentType]  what `import` itself looks for
    try:
        __import__("redis.asyncio")
    finally:
        del sys.modules["opentelemetry"]
