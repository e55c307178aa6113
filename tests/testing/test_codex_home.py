"""The folder that makes a real server work offline."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime.testing._codex_home import _table, write_codex_home
from codex_runtime.testing._mock_model import MockModel
from codex_runtime.testing._reply import Cut, Exec, Reply, Say, Stall
from tests.testing.appserver_driver import AppServerDriver

GRANULAR = {
    "granular": {
        "sandbox_approval": True,
        "rules": False,
        "skill_approval": False,
        "request_permissions": True,
        "mcp_elicitations": True,
    }
}
URL = "http://127.0.0.1:1/v1"

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    texts
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.dates()
    | st.datetimes(timezones=st.just(UTC) | st.none()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def written(path: Path, **settings: Any) -> dict[str, Any]:
    """The configuration that is written for these settings, read again."""
    home = write_codex_home(path / "home", URL, **settings)
    return tomllib.loads((home / "config.toml").read_text(encoding="utf-8"))


@given(st.dictionaries(texts, values, max_size=5))
def test_any_table_reads_back_as_it_was_written(table: dict[str, object]) -> None:
    """Whatever is in names and values: quotes, line ends, control characters, other alphabets."""
    assert tomllib.loads("\n".join(_table(table, ()))) == table


def test_the_server_is_kept_off_the_network(tmp_path: Path) -> None:
    """One provider, no login, and nothing that looks anything up at start."""
    config = written(tmp_path)
    assert config["model_provider"] == "mock"
    assert config["model_providers"]["mock"] == {
        "name": "Mock model",
        "base_url": URL,
        "wire_api": "responses",
        "requires_openai_auth": False,
        "request_max_retries": 0,
        "stream_max_retries": 0,
    }
    assert config["features"] == {"plugins": False, "remote_plugin": False, "apps": False, "shell_snapshot": False}
    assert not config["check_for_update_on_startup"]
    assert not config["allow_login_shell"]
    assert not config["analytics"]["enabled"]
    assert not config["feedback"]["enabled"]
    assert not {"approval_policy", "sandbox_mode"} & config.keys()


def test_settings_land_where_they_belong(tmp_path: Path) -> None:
    """Each option, in the words of the configuration."""
    config = written(
        tmp_path,
        model="gpt-5.5",
        approval_policy=GRANULAR,
        sandbox="workspace-write",
        features={"apps": True, "goals": False},
        mcp_servers={'my "stub"': {"command": Path("/bin/x"), "args": ("-a", "b\nc"), "env": {"K": "v"}}},
        request_max_retries=1,
        stream_max_retries=2,
        stream_idle_timeout=0.25,
    )
    assert config["model"] == "gpt-5.5"
    assert config["approval_policy"] == GRANULAR
    assert config["sandbox_mode"] == "workspace-write"
    assert (config["features"]["apps"], config["features"]["goals"]) == (True, False)
    assert config["mcp_servers"] == {'my "stub"': {"command": "/bin/x", "args": ["-a", "b\nc"], "env": {"K": "v"}}}
    provider = config["model_providers"]["mock"]
    assert (provider["request_max_retries"], provider["stream_max_retries"]) == (1, 2)
    assert provider["stream_idle_timeout_ms"] == 250


def test_extra_toml_wins_and_lands_in_the_right_table(tmp_path: Path) -> None:
    """Top-level keys and tables alike, merged into what is there."""
    extra = """
        model = "other"
        personality = "none"
        at = 2026-01-02T03:04:05Z
        far = inf
        [features]
        goals = false
        [[rules]]
        name = "a"
    """
    config = written(tmp_path, extra_toml=extra)
    assert (config["model"], config["personality"], config["far"]) == ("other", "none", inf)
    assert config["at"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert config["features"]["goals"] is False
    assert config["features"]["plugins"] is False
    assert config["rules"] == [{"name": "a"}]


def test_a_mistake_leaves_no_half_written_file(tmp_path: Path) -> None:
    """Bad TOML and values without a form in TOML are refused before anything is written."""
    with pytest.raises(ValueError, match="Invalid value"):
        write_codex_home(tmp_path / "home", URL, extra_toml="a = ")
    with pytest.raises(TypeError, match="no TOML form for None"):
        write_codex_home(tmp_path / "home", URL, mcp_servers={"x": {"command": None}})
    with pytest.raises(ValueError, match="for a thread"):
        write_codex_home(tmp_path / "home", URL, approval_policy="untrusted")  # type: ignore[arg-type]
    assert not (tmp_path / "home").exists()


def test_the_path_that_comes_back_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the server reads it from its environment, in a working directory of its own; writing again is fine."""
    monkeypatch.chdir(tmp_path)
    assert write_codex_home("a/b", URL) == write_codex_home(Path("a/b"), URL) == tmp_path / "a" / "b"


async def test_the_real_server_accepts_the_settings_without_a_warning(tmp_path: Path) -> None:
    """And starts threads with them."""
    home = write_codex_home(
        tmp_path / "home", URL, approval_policy=GRANULAR, sandbox="workspace-write", stream_idle_timeout=5
    )
    async with AppServerDriver(home, tmp_path) as server:
        started = await server.call("thread/start", {})
    assert started["model"] == "mock-model"
    assert started["modelProvider"] == "mock"
    assert started["approvalPolicy"] == GRANULAR
    assert started["sandbox"]["type"] == "workspaceWrite"
    warnings = [told["summary"] for told in server.told("configWarning")]
    assert all("bubblewrap" in warning or "could not find" in warning for warning in warnings)


async def test_left_to_the_real_server_a_thread_only_reads(tmp_path: Path) -> None:
    """The promise of the default `sandbox`."""
    async with MockModel(Reply(Exec("touch here", call_id="c")), "Could not.") as model:
        home = write_codex_home(tmp_path / "home", model.base_url)
        async with AppServerDriver(home, tmp_path) as server:
            started = await server.call("thread/start", {})
            assert started["sandbox"]["type"] == "readOnly"
            await server.run_turn(started["thread"]["id"])
    assert not (tmp_path / "here").exists()
    assert "Read-only file system" in model.requests[1].outputs()["c"]


async def test_the_real_server_tries_as_often_as_it_is_told(tmp_path: Path) -> None:
    """Requests that are refused, streams that break, and streams that fall silent."""
    async with MockModel() as model:
        home = write_codex_home(
            tmp_path / "home", model.base_url, request_max_retries=1, stream_max_retries=1, stream_idle_timeout=0.2
        )
        async with AppServerDriver(home, tmp_path) as server:
            model.enqueue(Reply.http_error(500), Reply(Say("par"), Cut()), "whole")
            assert (await server.run_turn(await server.start_thread()))["status"] == "completed"
            model.enqueue(Reply(Stall()), "after the silence")
            turn = await server.run_turn(await server.start_thread())
            assert turn["items"][-1]["text"] == "after the silence"
    assert len(model.requests) == 5
