"""What this machine can carry."""

import os
import platform
import re
from pathlib import Path

from pilothouse.errors import ConfigurationError
from pilothouse.models.embedded.catalogue import QWEN_CODER_0_5B, QWEN_CODER_1_5B, ModelFile

_MOST_THREADS = 4
_CORES_FOR_BETTER = 4
_MEMORY_FOR_BETTER_BYTES = 6_000_000_000
_NEEDED_FLAGS = ("avx2", "fma", "bmi2")


def fitting_model() -> ModelFile:
    """The best model that runs well here."""
    roomy = cores() >= _CORES_FOR_BETTER and _free_memory_bytes() >= _MEMORY_FOR_BETTER_BYTES
    return QWEN_CODER_1_5B if roomy else QWEN_CODER_0_5B


def threads() -> int:
    """How many threads a model should use: more than the physical cores makes it slower."""
    return min(_MOST_THREADS, cores())


def cores() -> int:
    """Physical cores, where the system tells; else the processors that it shows."""
    shown = os.cpu_count() or 1
    pairs = set(
        re.findall(r"physical id\s*:\s*(\d+).*?core id\s*:\s*(\d+)", _read("/proc/cpuinfo"), re.DOTALL)
    )
    return min(len(pairs) or shown, shown)


def check_processor() -> None:
    """Raises `ConfigurationError` where llama.cpp would crash: its build for x86 needs AVX2, FMA and BMI2."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return
    found = re.search(r"^flags\s*:(.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    missing = [flag for flag in _NEEDED_FLAGS if found and flag not in found.group(1).split()]
    if missing:
        raise ConfigurationError(
            f"This processor has no {', '.join(missing).upper()}, which the embedded model needs: set a key for a hosted "
            "model, or name an OpenAI-compatible server."
        )


def _free_memory_bytes() -> int:
    """What is free now, within the container's limit if there is one."""
    free = re.search(r"MemAvailable:\s*(\d+) kB", _read("/proc/meminfo"))
    amounts = [int(free.group(1)) * 1024] if free else []
    limit, used = _read("/sys/fs/cgroup/memory.max"), _read("/sys/fs/cgroup/memory.current")
    if limit.strip().isdigit() and used.strip().isdigit():
        amounts.append(int(limit) - int(used))
    return min(amounts, default=0)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
