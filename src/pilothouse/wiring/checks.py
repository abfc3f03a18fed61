"""Checks of the parts that the settings name, for `pilothouse doctor`. Each says in one line what is there, or raises what is
wrong with it."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from pilothouse.errors import ConfigurationError, PilothouseError
from pilothouse.events import AgentId
from pilothouse.models.choosing import choose
from pilothouse.models.names import Embedded, parse
from pilothouse.models.opening import ChatModel, open_chat_model
from pilothouse.models.policies import RetryPolicy
from pilothouse.settings import AuthSettings, Settings
from pilothouse.stores.health import check_postgres, check_redis
from pilothouse.wiring.agents import AgentLoader
from pilothouse.wiring.models import OpenModels, credentials_of
from pilothouse.wiring.reports import Report
from pilothouse.wiring.stores import open_run_stores, postgres_url, redis_url


class NotNow(PilothouseError):
    """It works, but not as one may expect."""

    code = "not_now"


async def redis_line(settings: Settings) -> str:
    async with redis_url(settings) as url:
        return f"{await check_redis(url)} ({'yours' if settings.redis else 'embedded'})"


async def postgres_line(settings: Settings, report: Report) -> str:
    """Raises `NotNow` where the embedded server can't run: only the store needs it."""
    try:
        async with postgres_url(settings, report.say) as url:
            return f"{await check_postgres(url)} ({'yours' if settings.postgres else 'embedded'})"
    except PilothouseError as error:
        if settings.postgres:
            raise
        raise NotNow(f"{error} Agents run without it; the store (/store/items) does not.") from error


def model_names(settings: Settings) -> Sequence[str]:
    """Those that the built-in assistants use, each once."""
    agents = settings.agents.values()
    names = [agent.model or settings.model for agent in agents if not agent.graph and not agent.function]
    return list(dict.fromkeys(names if agents or settings.project else [settings.model]))


async def model_line(settings: Settings, name: str) -> str:
    """One tiny request to a model that is elsewhere; of the embedded one, whether it can run and is there."""
    credentials = credentials_of(settings)
    choice = await choose(parse(name), credentials)
    if isinstance(choice, Embedded):
        return _embedded_line(settings)
    once = RetryPolicy(tries=1)
    async with open_chat_model(choice, credentials, embedded=_not_embedded, policy=once) as chat:
        await chat.model.ainvoke("Answer with one word: ok")
        return f"{chat.label} answers" + ("" if name != "auto" else ' (chosen by "auto")')


def _not_embedded() -> Any:
    raise AssertionError("the choice was made")


def _embedded_line(settings: Settings) -> str:
    from pilothouse.models.embedded import machine

    machine.check_processor()
    better = "For a better one set GEMINI_API_KEY, or name an OpenAI-compatible server in `model`."
    if path := settings.model_file:
        if not path.is_file():
            raise ConfigurationError(f"The model file {path} is not there: check the setting model_path.")
        return f"{path.name}, on this machine. {better}"
    model = machine.fitting_model()
    if _size(settings.data_dir / "models" / model.file_name) == model.size_bytes:
        return f"{model.label}, small and on this machine. {better}"
    megabytes = model.size_bytes // 1_000_000
    raise NotNow(
        f"{model.label}, small and on this machine: {megabytes} MB are fetched at the first start. {better}"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def agent_lines(settings: Settings, report: Report) -> dict[AgentId, str | PilothouseError]:
    """Load every agent: which model it has, or why it can't be served."""
    found: dict[AgentId, str | PilothouseError] = {}
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_run_stores(settings))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        models = _Unprepared(settings, report, tasks)
        stack.callback(models.close)
        catalog = AgentLoader(settings, stores, models, tasks).catalog()
        for agent in catalog.list():
            try:
                await catalog.engine(agent.agent_id)
                found[agent.agent_id] = "loads"
            except PilothouseError as error:
                found[agent.agent_id] = error
        for agent in catalog.list():
            if agent.model:
                found[agent.agent_id] = f"loads, with {agent.model}"
    return found


class _Unprepared(OpenModels):
    """Models that are not got ready: that may take a download."""

    async def get(self, name: str) -> ChatModel:
        chat = await super().get(name)
        return ChatModel(chat.model, chat.label, chat.notice)


async def callers_line(auth: AuthSettings) -> str:
    """Whether the keys that callers' tokens are verified with can be had."""
    import jwt

    try:
        keys = await asyncio.to_thread(jwt.PyJWKClient(auth.jwks_url, timeout=5).get_signing_keys)
    except jwt.PyJWTError as error:
        raise ConfigurationError(f"The keys at auth.jwks_url can't be had: {error}") from error
    return f"with ID tokens of {auth.issuer} for {auth.audience} ({len(keys)} keys)"
