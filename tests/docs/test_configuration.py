"""The configuration page says what the settings are."""

import re
from pathlib import Path

from pilothouse.settings import AgentSettings, AuthSettings, LimitSettings, PushSettings, Settings, load

SET_ELSEWHERE = {"root", "project", "agents", "auth", "push"}


def _page(repository: Path) -> str:
    return (repository / "docs" / "configuration.md").read_text()


def test_every_setting_is_on_the_page(repository: Path) -> None:
    page = _page(repository)
    parts = (Settings, AuthSettings, AgentSettings, LimitSettings, PushSettings)
    fields = {name for part in parts for name in part.__struct_fields__}
    missing = [name for name in fields - SET_ELSEWHERE if not re.search(rf"\b{name}\b", page)]
    assert not missing


def test_the_defaults_on_the_page_are_the_defaults(repository: Path) -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", _page(repository), re.MULTILINE)
    assert len(rows) >= 9
    for name, default in rows:
        assert str(getattr(Settings(), name)) == default, name


def test_the_examples_on_the_page_are_valid(repository: Path, tmp_path: Path) -> None:
    for number, example in enumerate(re.findall(r"```toml\n(.*?)```", _page(repository), re.DOTALL)):
        file = tmp_path / f"{number}.toml"
        file.write_text(example)
        assert load(file, environ={}) != Settings()
