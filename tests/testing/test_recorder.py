"""What was recorded can be read and played back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_runtime._sansio.restart import Exit
from codex_runtime.errors import StartError
from codex_runtime.testing._fake_script import Command, Die, Garbage, HalfLine, Script
from codex_runtime.testing._fake_server import FakeAppServer
from codex_runtime.testing._recorder import Entry, Recorder, ReplayServer, load_recording, replay
from codex_runtime.testing._reply import Say
from tests.support.line_client import LineClient


async def talk(client: LineClient, decision: str = "accept") -> dict[str, object]:
    """One turn with an approval."""
    turn = await client.start_turn(await client.start_thread())
    request = await client.asked("item/commandExecution/requestApproval")
    client.write({"id": request["id"], "result": {"decision": decision}})
    return await client.turn_end(turn)


async def record(to: Path | list[Entry]) -> LineClient:
    """A conversation on record."""
    fake = FakeAppServer(Script(Command("ls", output="a\n", approval=True), Say("Done.")))
    client = await LineClient.launch(Recorder(fake, to))
    await talk(client)
    await client.transport.aclose()
    return client


async def test_every_line_of_both_directions_is_on_record() -> None:
    """In the order in which they crossed, then the close and the end."""
    entries: list[Entry] = []
    client = await record(entries)
    assert [entry.line for entry in entries if entry.dir == "in"] == client.lines
    sent = [json.loads(entry.line).get("method", "answer") for entry in entries if entry.dir == "out"]
    assert sent == ["initialize", "initialized", "thread/start", "turn/start", "answer"]
    assert [entry.dir for entry in entries[-2:]] == ["close", "end"]
    assert entries[-1].exit == Exit(code=0)
    times = [entry.t for entry in entries]
    assert times == sorted(times)


async def test_a_file_holds_what_a_list_would(tmp_path: Path) -> None:
    """One line each, after a header."""
    path = tmp_path / "session.jsonl"
    client = await record(path)
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(header)["format"] == "codex-runtime recording"
    assert {"t", "gen", "dir", "line"} == set(json.loads(lines[0]))
    assert [entry.line for entry in load_recording(path) if entry.dir == "in"] == client.lines


async def test_a_recording_of_a_crash_can_be_read(tmp_path: Path) -> None:
    """The last line may be cut off."""
    path = tmp_path / "session.jsonl"
    await record(path)
    whole = load_recording(path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:-20], encoding="utf-8")
    assert load_recording(path) == whole[:-1]


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    """By its header, or by its lines."""
    path = tmp_path / "x.jsonl"
    path.write_text("{}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="not a recording"):
        load_recording(path)
    path.write_text('{"format":"codex-runtime recording"}\n[]\n', encoding="utf-8")
    with pytest.raises(ValueError, match="not an entry"):
        replay(path)


@given(st.binary(max_size=60), st.floats(0, 1e6), st.none() | st.integers(0, 255))
def test_an_entry_survives_being_written(line: bytes, t: float, code: int | None) -> None:
    """Whatever the bytes are."""
    entry = Entry(t=round(t, 6), gen=3, dir="in", line=line)
    assert Entry.from_json(entry.to_json()) == entry
    end = Entry(t=0.0, gen=0, dir="end", exit=Exit(code, None, "tail"))
    assert Entry.from_json(end.to_json()) == end


async def test_redaction_sees_each_line_and_the_client_does_not() -> None:
    """Only the recording is without the secret."""
    entries: list[Entry] = []
    recorder = Recorder(FakeAppServer("the secret"), entries, redact=lambda line: line.replace("secret", "***"))
    client = await LineClient.launch(recorder)
    turn = await client.run_turn(await client.start_thread())
    await client.transport.aclose()
    assert turn["items"][0]["text"] == "the secret"
    assert not any(b"secret" in entry.line for entry in entries)
    assert any(b"***" in entry.line for entry in entries)


async def test_a_recording_becomes_envelopes() -> None:
    """Numbered, with directions and generations; garbage is one with a fault."""
    entries: list[Entry] = []
    fake = FakeAppServer(Script(Garbage(), Say("x")))
    recorder = Recorder(fake, entries)
    for _ in range(2):
        client = await LineClient.launch(recorder)
        await client.run_turn(await client.start_thread())
        await client.transport.aclose()
    envelopes = replay(entries)
    assert [envelope.seq for envelope in envelopes] == list(range(len(envelopes)))
    assert {envelope.generation for envelope in envelopes} == {0, 1}
    assert sum(envelope.fault is not None for envelope in envelopes) == 1
    ends = [envelope for envelope in envelopes if envelope.method == "turn/completed"]
    assert [envelope.direction for envelope in ends] == ["inbound", "inbound"]
    assert envelopes[0].method == "initialize"
    assert envelopes[0].direction == "outbound"


# -- playing back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [None, 1])
async def test_a_client_that_does_the_same_hears_the_same(chunk: int | None) -> None:
    """Byte for byte."""
    entries: list[Entry] = []
    first = await record(entries)
    server = ReplayServer(entries, chunk=chunk)
    second = await LineClient.launch(server)
    await talk(second)
    await second.until(lambda: second.lines == first.lines)
    assert second.exit is None  # the client had closed it, so it waits to be closed
    assert await second.transport.aclose() == Exit(code=0)
    assert (server.missing, server.unexpected) == ([], [])


async def test_a_client_that_counts_differently_gets_its_answers() -> None:
    """Ids of requests are exchanged; those of server requests are what they were."""
    entries: list[Entry] = []
    await record(entries)
    client = await LineClient.launch(ReplayServer(entries), greet=False)
    client._last_id = 700
    await client.greet()
    turn = await talk(client)
    assert turn["status"] == "completed"
    await client.transport.aclose()


async def test_ids_of_both_sides_are_kept_apart() -> None:
    """A request and a server request may have the same number."""
    lines = [
        ("out", b'{"id":0,"method":"slow","params":{}}'),
        ("in", b'{"id":0,"method":"question","params":{}}'),
        ("out", b'{"id":0,"result":{}}'),
        ("in", b'{"id":0,"result":{"late":true}}'),
    ]
    entries = [Entry(t=0.0, gen=0, dir="in" if way == "in" else "out", line=line) for way, line in lines]
    client = await LineClient.launch(ReplayServer(entries), greet=False)
    client._last_id = 700
    late = client.ask("slow")
    await client.asked("question")
    client.write({"id": 0, "result": {}})
    assert (await client.reply_to(late))["result"] == {"late": True}
    await client.transport.aclose()


async def test_the_server_waits_for_what_the_client_had_said() -> None:
    """And says what is missing, and what nobody had said."""
    entries: list[Entry] = []
    await record(entries)
    server = ReplayServer(entries)
    client = await LineClient.launch(server)
    await client.start_thread()
    client.ask("model/list")
    await client.until(lambda: bool(client.named("thread/started")))
    assert [json.loads(line).get("method", "answer") for line in server.missing] == ["turn/start", "answer"]
    assert client.named("turn/started") == []
    await client.transport.aclose()
    assert [json.loads(line)["method"] for line in server.unexpected] == ["model/list"]


async def test_requests_may_come_in_another_order() -> None:
    """As long as all are there before the answers are due."""
    entries: list[Entry] = []
    recorded = await LineClient.launch(Recorder(FakeAppServer(), entries))
    await recorded.call("account/read")
    first, second = recorded.ask("thread/list"), recorded.ask("model/list")
    await recorded.reply_to(first)
    await recorded.reply_to(second)
    await recorded.transport.aclose()
    client = await LineClient.launch(ReplayServer(entries))
    models, threads = client.ask("model/list"), client.ask("thread/list")
    await client.call("account/read")
    assert (await client.reply_to(models))["result"]["data"][0]["id"] == "fake-model"
    assert (await client.reply_to(threads))["result"]["data"] == []
    await client.transport.aclose()


async def test_a_server_that_died_dies_again() -> None:
    """With all that it had said, half a line too, and in the same way; the next launch is the next of the recording."""
    entries: list[Entry] = []
    recorder = Recorder(FakeAppServer(Script(Say("one"), HalfLine(b'{"ha'), Die(signal=11)), "two"), entries)
    for launcher in (recorder, ReplayServer(entries)):
        if launcher is not recorder:
            launcher = ReplayServer(entries)  # noqa: PLW2901  now that there is something in it
        client = await LineClient.launch(launcher)
        thread = await client.start_thread()
        await client.start_turn(thread)
        assert (await client.lost()).signal == 11
        assert b'{"ha' in b"".join(client.pieces)
        client = await LineClient.launch(launcher)
        await client.call("thread/resume", {"threadId": thread})
        assert (await client.run_turn(thread))["items"][0]["text"] == "two"
        await client.transport.aclose()
    with pytest.raises(StartError, match="only 2 launches"):
        await LineClient.launch(launcher)


async def test_the_recorder_is_a_transport_like_the_one_inside() -> None:
    """Pausing, draining, killing and asking go through."""
    entries: list[Entry] = []
    fake = FakeAppServer()
    client = await LineClient.launch(Recorder(fake, entries))
    link = client.transport
    link.pause_reading()
    client.ask("thread/list")
    await fake.wait_for("thread/list")
    link.resume_reading()
    await link.drain()
    assert (link.pid, link.unsent, link.stderr_tail()) == (None, 0, "")
    link.kill()
    assert await client.lost() == Exit(signal=9)
    link.write(b"too late\n")
    await link.aclose()
    assert [entry.dir for entry in entries if entry.dir in ("close", "end")] == ["close", "end"]
    assert not any(entry.line == b"too late" for entry in entries)


async def test_a_launch_that_fails_is_not_counted() -> None:
    """The recording begins with the first that did not."""
    entries: list[Entry] = []
    fake = FakeAppServer()
    fake.fail_next_launch(StartError("no"))
    recorder = Recorder(fake, entries)
    with pytest.raises(StartError):
        await LineClient.launch(recorder)
    client = await LineClient.launch(recorder)
    await client.transport.aclose()
    assert {entry.gen for entry in entries} == {0}
