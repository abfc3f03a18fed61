"""llama.cpp's server, in this process, on a loopback port of its own.

Slots hold the model's memory of a prompt. Slot 0 is for conversations; the others hold *prefixes*: long prompts that many
requests begin with, such as a tool's examples. A prefix is read by the model once (seconds) and kept as a file that is
restored in milliseconds, so prefixes may be many and survive a restart.

The model does one thing at a time: on few cores, two at once would both be slower.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

CONTEXT_TOKENS = 3072
"""What one request may hold, answer included."""
_CHAT_SLOT = 0
_PREFIX_SLOTS = (1, 2, 3)
_KEPT_PREFIXES = 64
_DEADLINE_SECONDS = 300.0


class Completion(msgspec.Struct, frozen=True):
    """What the model wrote, and what it cost."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    truncated: bool
    """The limit of tokens was reached before the end."""


class ChatPiece(msgspec.Struct, frozen=True):
    """A piece of a streamed answer; the last one has the finish reason and the usage."""

    text: str = ""
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class LlamaFailed(Exception):
    """llama.cpp refused the request; the message says why."""


class Llama:
    """The loaded model. Calls wait for each other, first come, first served."""

    def __init__(self, client: httpx.AsyncClient, prefixes: Path, fingerprint: str) -> None:
        self._client = client
        self._prefixes = prefixes
        self._fingerprint = fingerprint
        self._turn = asyncio.Lock()
        self._held: dict[int, str] = {}
        self.busy = 0

    @asynccontextmanager
    async def _my_turn(self) -> AsyncGenerator[None]:
        self.busy += 1
        try:
            async with self._turn:
                yield
        finally:
            self.busy -= 1

    async def complete(self, prefix: str, prompt: str, *, grammar: str, max_tokens: int) -> Completion:
        """Continue `prefix + prompt`, greedily, with text that the GBNF grammar admits."""
        async with self._my_turn():
            slot = await self._hold(prefix)
            data = await self._post(
                "/completion",
                {
                    "prompt": prefix + prompt,
                    "grammar": grammar,
                    "n_predict": max_tokens,
                    "temperature": 0,
                    "cache_prompt": True,
                    "id_slot": slot,
                },
            )
        return Completion(
            text=data["content"],
            prompt_tokens=data["tokens_evaluated"],
            completion_tokens=data["tokens_predicted"],
            truncated=data["stop_type"] == "limit",
        )

    async def warm(self, prefix: str) -> None:
        """Have the model read a prefix ahead of its first use."""
        async with self._my_turn():
            await self._hold(prefix)

    async def chat(self, request: Mapping[str, Any]) -> AsyncIterator[ChatPiece]:
        """Answer a chat completions request, piece by piece."""
        body = {
            **request,
            "stream": True,
            "stream_options": {"include_usage": True},
            "cache_prompt": True,
            "id_slot": _CHAT_SLOT,
        }
        async with (
            self._my_turn(),
            self._client.stream("POST", "/v1/chat/completions", json=body) as response,
        ):
            if response.is_error:
                raise LlamaFailed(_reason(await response.aread()))
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    yield _piece(json.loads(line.removeprefix("data: ")))

    async def count(self, text: str) -> int:
        """How many tokens a text has."""
        data = await self._post("/tokenize", {"content": text})
        return len(data["tokens"])

    async def _hold(self, prefix: str) -> int:
        """The slot that has the prefix; the one that was used least recently makes room."""
        key = hashlib.sha256(f"{self._fingerprint}\n{prefix}".encode()).hexdigest()[:32]
        for slot, held in self._held.items():
            if held == key:
                self._held[slot] = self._held.pop(slot)
                return slot
        slot = next((s for s in _PREFIX_SLOTS if s not in self._held), None) or next(iter(self._held))
        self._held.pop(slot, None)
        file = self._prefixes / f"{key}.slot"
        if not await self._restored(slot, file):
            await self._post(
                "/completion", {"prompt": prefix, "n_predict": 0, "cache_prompt": True, "id_slot": slot}
            )
            await self._post(f"/slots/{slot}?action=save", {"filename": file.name})
            await asyncio.to_thread(self._forget_old)
        self._held[slot] = key
        return slot

    async def _restored(self, slot: int, file: Path) -> bool:
        try:
            await self._post(f"/slots/{slot}?action=restore", {"filename": file.name})
        except LlamaFailed:
            return False
        return True

    def _forget_old(self) -> None:
        files = sorted(self._prefixes.glob("*.slot"), key=lambda file: file.stat().st_atime, reverse=True)
        for file in files[_KEPT_PREFIXES:]:
            file.unlink(missing_ok=True)

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        response = await self._client.post(path, json=body)
        if response.is_error:
            raise LlamaFailed(_reason(response.content))
        return response.json()


def _reason(content: bytes) -> str:
    try:
        return str(json.loads(content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace")[:200] or "no reason given"


def _piece(data: Mapping[str, Any]) -> ChatPiece:
    choices: list[Any] = data.get("choices") or [{}]
    usage: Mapping[str, int] = data.get("usage") or {}
    return ChatPiece(
        text=choices[0].get("delta", {}).get("content") or "",
        finish_reason=choices[0].get("finish_reason"),
        prompt_tokens=usage.get("prompt_tokens", 0),
        completion_tokens=usage.get("completion_tokens", 0),
    )


def _start(model: Path, prefixes: Path, key: str, threads: int) -> tuple[Any, str]:
    """The server, which must be kept, and what its prefixes depend on."""
    import xllamacpp

    vendor: Any = xllamacpp  # it has no types
    prefixes.mkdir(parents=True, exist_ok=True)
    params = vendor.CommonParams()
    params.model.path = str(model)
    params.n_parallel = 1 + len(_PREFIX_SLOTS)
    params.n_ctx = params.n_parallel * CONTEXT_TOKENS
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.slot_prompt_similarity = 0.8
    params.slot_save_path = f"{prefixes}/"
    params.cache_ram_mib = 0
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.ui = False
    params.verbosity = 0
    fingerprint = f"{model.name} {model.stat().st_size} {vendor.__version__} {CONTEXT_TOKENS}"
    return vendor.Server(params), fingerprint


@asynccontextmanager
async def load(model: Path, prefixes: Path, *, key: str, threads: int) -> AsyncGenerator[Llama]:
    """Load a GGUF file and serve it until the process ends: llama.cpp has no way to unload."""
    server, fingerprint = await asyncio.to_thread(_start, model, prefixes, key, threads)
    async with httpx.AsyncClient(
        base_url=server.listening_address,
        headers={"Authorization": f"Bearer {key}"},
        timeout=_DEADLINE_SECONDS,
        trust_env=False,
    ) as client:
        yield Llama(client, prefixes, fingerprint)
