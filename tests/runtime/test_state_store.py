"""The stores: what was saved is there again, whole, in private, and for one runtime at a time."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from codex_runtime._sansio.snapshot import encode
from codex_runtime.errors import StoreError
from codex_runtime.runtime import JsonStateStore, MemoryStateStore, RuntimeState, StateStore, read_state
from tests.architecture.tree import ROOT
from tests.runtime.saver import number_of


@pytest.fixture(params=["memory", "json"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StateStore:
    """Each of the stores, new."""
    return MemoryStateStore() if request.param == "memory" else JsonStateStore(tmp_path / "state.json")


def test_what_was_saved_last_is_there_again(store: StateStore) -> None:
    """Nothing at first; then the last of what was saved."""
    assert store.open() is None
    store.save(b"one")
    store.save(b"two")
    store.close()
    assert store.open() == b"two"
    store.close()


def test_a_store_belongs_to_one_runtime_at_a_time(store: StateStore) -> None:
    """Two would overwrite each other's."""
    store.open()
    with pytest.raises(StoreError, match="already"):
        store.open()
    store.close()
    store.open()
    store.close()


def test_what_is_set_aside_is_not_overwritten(store: StateStore, tmp_path: Path) -> None:
    """It is somewhere else from then on, each time in another place."""
    store.open()
    asides = []
    for data in (b"one", b"two"):
        store.save(data)
        asides.append(store.set_aside("damaged"))
    store.save(b"three")
    store.close()
    if isinstance(store, MemoryStateStore):
        assert (store.set_asides, store.data) == ([("damaged", b"one"), ("damaged", b"two")], b"three")
    else:
        assert [Path(aside or "").name for aside in asides] == ["state.json.corrupt-1", "state.json.corrupt-2"]
        assert [(tmp_path / f"state.json.corrupt-{number}").read_bytes() for number in (1, 2)] == [b"one", b"two"]
        assert (tmp_path / "state.json").read_bytes() == b"three"


def test_a_newer_file_gets_another_name_than_a_damaged_one(tmp_path: Path) -> None:
    """It is good, only not for us."""
    store = JsonStateStore(tmp_path / "s")
    store.open()
    store.save(b"new")
    assert store.set_aside("newer") == str(tmp_path / "s.newer-1")
    store.close()


def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Whatever the umask says, and also if an older file was open to all."""
    path = tmp_path / "state.json"
    path.write_bytes(b"old")
    path.chmod(0o644)
    store = JsonStateStore(path)
    store.open()
    store.save(b"new")
    store.close()
    for name in ("state.json", "state.json.lock"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_what_a_killed_program_left_half_written_is_cleaned_up(tmp_path: Path) -> None:
    """And nothing else that lies beside it."""
    mine, other = tmp_path / ".[s].12-34.new", tmp_path / ".s.12-34.new"
    mine.write_bytes(b"ha")
    other.write_bytes(b"lf")
    store = JsonStateStore(tmp_path / "[s]")
    store.open()
    store.close()
    assert (mine.exists(), other.exists()) == (False, True)


def test_a_file_that_cannot_be_reached_is_an_error_and_leaves_no_lock(tmp_path: Path) -> None:
    """At once, with its name."""
    with pytest.raises(StoreError, match=r"cannot lock .*nowhere"):
        JsonStateStore(tmp_path / "nowhere" / "s").open()
    (tmp_path / "folder").mkdir()
    store = JsonStateStore(tmp_path / "folder")
    for _ in range(2):
        with pytest.raises(StoreError, match=r"cannot read .*folder"):
            store.open()
    gone = JsonStateStore(tmp_path / "gone")
    gone.open()
    with pytest.raises(StoreError, match=r"cannot rename .*gone"):
        gone.set_aside("damaged")
    gone.close()


def test_a_saved_state_can_be_read_by_anybody_at_any_time(tmp_path: Path) -> None:
    """Also while it is being written; what cannot be read says why and shows nothing."""
    path = tmp_path / "state.json"
    with pytest.raises(StoreError, match="no file"):
        read_state(path)
    store = JsonStateStore(path)
    store.open()
    store.save(encode(RuntimeState(rate_limits_line=b"secret")))
    assert read_state(path) == RuntimeState(rate_limits_line=b"secret")
    store.save(b'{"format":"codex-runtime state","version":99}')
    with pytest.raises(StoreError, match="format 99, which is newer"):
        read_state(path)
    store.save(encode(RuntimeState(rate_limits_line=b"secret"))[:-9])
    with pytest.raises(StoreError, match="is damaged") as caught:
        read_state(path)
    assert "secret" not in str(caught.value)
    store.close()


def test_what_a_store_prints_shows_nothing_of_what_is_in_it(tmp_path: Path) -> None:
    """Only where it is, or how much."""
    assert repr(MemoryStateStore(b"secret")) == "MemoryStateStore(<6 bytes>)"
    assert repr(JsonStateStore(tmp_path / "s")) == f"JsonStateStore({str(tmp_path / 's')!r})"


@pytest.mark.timeout(300)  # programs, on a machine that may be busy
def test_a_program_that_is_killed_while_it_saves_leaves_a_whole_state(tmp_path: Path) -> None:
    """Five times, at another moment each (and more often in `tests/crash`): the last one that was acknowledged, or the one that was being saved."""
    path = tmp_path / "state.json"
    for round_number in range(5):
        path.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.runtime.saver", str(path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            acknowledged = -1
            assert program.stdout.readline() == "ready\n"
            while acknowledged < 3 * round_number:
                acknowledged = int(program.stdout.readline())
            program.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, program.stdout.read().split())])
        assert acknowledged <= number_of(read_state(path)) <= acknowledged + 1
    store = JsonStateStore(path)
    assert store.open() == path.read_bytes()
    store.close()
    assert sorted(left.name for left in tmp_path.iterdir()) == ["state.json", "state.json.lock"]


def test_a_link_leads_to_the_file_that_is_kept(tmp_path: Path) -> None:
    """It stays a link, and another runtime that opens the file itself is seen."""
    link, file = tmp_path / "link.json", tmp_path / "state.json"
    link.symlink_to(file)
    store = JsonStateStore(link)
    store.open()
    with pytest.raises(StoreError, match="already"):
        JsonStateStore(file).open()
    store.save(b"one")
    store.close()
    assert (link.is_symlink(), file.read_bytes()) == (True, b"one")
