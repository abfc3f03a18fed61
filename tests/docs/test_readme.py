"""Everything in the README's first screen is run, and its output compared."""

import asyncio
import re
import subprocess
from pathlib import Path

import httpx
import pytest
from tests.processes import serving

from pilothouse.testing.model_servers import ModelServer

PORT = "8123"
VARIES = re.compile(r"…|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def blocks(repository: Path) -> list[tuple[str, str]]:
    return BLOCK.findall((repository / "README.md").read_text())


def _write_files(blocks: list[tuple[str, str]], folder: Path, *, containing: str) -> None:
    """The project whose `pilothouse.toml` contains a text, with the Python file that goes with it."""
    files = [text for language, text in blocks if language in {"python", "toml"}]
    toml = next(text for text in files if text.startswith("# pilothouse.toml") and containing in text)
    module = re.search(r"\./(\w+\.py):", toml)
    assert module
    python = next(text for text in files if text.startswith(f"# {module[1]}"))
    (folder / "pilothouse.toml").write_text(toml)
    (folder / module[1]).write_text(python)


def _pattern(shown: str) -> str:
    """A regular expression for output in which ids differ, and `…` stands for anything."""
    varying = VARIES.findall(shown)
    parts = [re.escape(part) for part in VARIES.split(shown.strip())]
    return "".join(
        part + (("[^\n]*" if gap == "…" else "[0-9a-f-]{36}") if gap else "")
        for part, gap in zip(parts, [*varying, ""], strict=True)
    )


def test_the_echo_agent_answers_and_goes_on_as_shown(
    blocks: list[tuple[str, str]], tmp_path: Path, free_port: int
) -> None:
    _write_files(blocks, tmp_path, containing="agents.echo")
    commands = [text for language, text in blocks if language == "sh" and "curl" in text]
    outputs = [text for language, text in blocks if language == "text"]
    assert len(commands) == len(outputs) == 2
    script = ('\necho "=="\n'.join(commands)).replace(PORT, str(free_port))
    with serving(tmp_path, port=free_port, data=tmp_path / "data"):
        ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=50, check=True)
    for shown, real in zip(outputs, ended.stdout.split("==\n"), strict=True):
        assert re.fullmatch(_pattern(shown), real.strip()), real


def test_the_harbours_assistant_calls_the_tool_of_its_own(
    blocks: list[tuple[str, str]], tmp_path: Path, free_port: int
) -> None:
    _write_files(blocks, tmp_path, containing="agents.harbour")

    async def main() -> None:
        async with ModelServer() as model:
            model.reply(tool="berth", arguments={"ship": "Aurora"})
            model.reply("It lies at berth 6.")
            env = {"PILOTHOUSE_MODEL": f"openai/scripted@{model.openai_url}"}
            with serving(tmp_path, port=free_port, data=tmp_path / "data", env=env) as server:
                body = {
                    "assistant_id": "harbour",
                    "input": {"messages": [{"role": "user", "content": "Aurora?"}]},
                }
                async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
                    reply = await client.post("/runs/wait", json=body)
            contents = [message["content"] for message in reply.json()["messages"]]
            assert contents == ["Aurora?", "", "Aurora lies at berth 6.", "It lies at berth 6."]

    asyncio.run(main())


def test_every_link_leads_to_a_file(repository: Path) -> None:
    for page in (repository / "README.md", repository / "AGENTS.md", *repository.glob("docs/**/*.md")):
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
