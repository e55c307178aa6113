"""Our half of the connection: order of the greeting, ids, correlation, and what must not be sent."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from codex_runtime._sansio.envelope import Envelope, Stamp
from codex_runtime._sansio.peer import MAX_DEPTH, Peer, PeerState, Received, _depth, refusal_of
from codex_runtime.errors import LocalProtocolError

STAMP = Stamp(0, 1.0, 2.0)


def ready(**options: int) -> Peer[str]:
    """Return a peer after its greeting."""
    peer: Peer[str] = Peer(**options)
    peer.greet({}, "greeting")
    peer.receive(b'{"id":1,"result":{}}\n', 0, STAMP)
    peer.greeted()
    return peer


def hear(peer: Peer[str], *messages: object) -> Received[str]:
    """Give the peer whole messages."""
    return peer.receive(b"".join(json.dumps(message).encode() + b"\n" for message in messages), 0, STAMP)


def test_the_greeting_is_written_in_order() -> None:
    """app-server.md section 2: initialize, its answer, initialized."""
    peer: Peer[str] = Peer()
    assert (peer.state, peer.next_id) == (PeerState.NEW, 1)
    request_id, line = peer.greet({"clientInfo": {"name": "x"}}, "g")
    assert json.loads(line) == {"id": request_id, "method": "initialize", "params": {"clientInfo": {"name": "x"}}}
    assert hear(peer, {"id": request_id, "result": {"userAgent": "x"}}).answered[0][0] == "g"
    assert peer.greeted() == b'{"method":"initialized"}\n'
    assert peer.state is PeerState.READY


def test_nothing_is_sent_before_the_greeting_is_over() -> None:
    """I12: no user call is written before initialize and initialized."""
    peer: Peer[str] = Peer()
    with pytest.raises(LocalProtocolError, match="the connection is new; this needs it to be ready"):
        peer.request("thread/start", {}, "t")
    peer.greet({}, "g")
    with pytest.raises(LocalProtocolError, match="the connection is greeting; this needs it to be ready"):
        peer.notify("x")
    with pytest.raises(LocalProtocolError):
        peer.greet({}, "again")
    peer.greeted()
    with pytest.raises(LocalProtocolError, match="the connection is ready; this needs it to be greeting"):
        peer.greeted()


def test_answers_find_their_askers_in_any_order() -> None:
    """I2: by id, never by position."""
    peer = ready()
    (first, _), (second, _) = peer.request("a", {}, "A"), peer.request("b", {}, "B")
    received = hear(peer, {"id": second, "result": 2}, {"id": first, "error": {"code": -32600, "message": "no"}})
    assert [(token, envelope.refused) for token, envelope in received.answered] == [("B", False), ("A", True)]
    assert peer.in_flight == 0


@pytest.mark.parametrize(
    "rpc_id", [99, -1, 10**30, 2.0, True, None, [2], "x", "2.0", "", "-2", "\uff12", "0" * 18 + "2"]
)
def test_an_answer_with_another_id_is_late_and_settles_nothing(rpc_id: object) -> None:
    """M5: True == 1 == 1.0 to Python's dictionaries, not to us."""
    peer = ready(first_id=1)
    peer.request("a", {}, "A")
    received = hear(peer, {"id": rpc_id, "result": {}})
    assert received.answered == []
    assert received.late + received.malformed == 1
    assert peer.in_flight == 1


def test_an_id_that_comes_back_as_text_still_counts() -> None:
    """Seed section 2.5: some servers answer "2" to 2."""
    peer = ready()
    request_id, _ = peer.request("a", {}, "A")
    assert hear(peer, {"id": str(request_id), "result": {}}).answered[0][0] == "A"


def test_an_id_as_text_may_have_as_many_digits_as_a_64_bit_number_surely_holds() -> None:
    """Eighteen; with leading zeros it is still the same number."""
    peer = ready()
    request_id, _ = peer.request("a", {}, "A")
    assert hear(peer, {"id": f"{request_id:018}", "result": {}}).answered[0][0] == "A"


def test_a_second_answer_is_late() -> None:
    """I2: settled once."""
    peer = ready()
    request_id, _ = peer.request("a", {}, "A")
    received = hear(peer, {"id": request_id, "result": 1}, {"id": request_id, "result": 2})
    assert (len(received.answered), received.late) == (1, 1)


def test_an_abandoned_request_gets_no_answer() -> None:
    """The caller went away; what comes is counted."""
    peer = ready()
    request_id, _ = peer.request("a", {}, "A")
    peer.abandon(request_id)
    peer.abandon(request_id)
    assert hear(peer, {"id": request_id, "result": 1}).late == 1


def test_closing_hands_back_who_still_waits() -> None:
    """I1: nobody is forgotten."""
    peer = ready()
    peer.request("a", {}, "A")
    peer.request("b", {}, "B")
    assert peer.close() == ["A", "B"]
    assert peer.close() == []
    with pytest.raises(LocalProtocolError, match="closed"):
        peer.request("c", {}, "C")


def test_ids_go_on_where_the_last_connection_ended() -> None:
    """Ids are unique across generations, which makes logs readable."""
    first = ready()
    first.request("a", {}, "A")
    second = ready(first_id=first.next_id)
    ids = [second.request("b", {}, "B")[0] for _ in range(3)]
    assert ids == [first.next_id + 1, first.next_id + 2, first.next_id + 3]


def test_requests_of_the_server_are_told_apart() -> None:
    """Ids from 0, text ids too."""
    received = hear(ready(), {"id": 0, "method": "item/tool/call", "params": {}}, {"id": "a", "method": "x"})
    assert [envelope.rpc_id for envelope in received.asked] == [0, "a"]


def test_answers_and_refusals_keep_the_id_as_it_was() -> None:
    """The same JSON type goes back."""
    peer = ready()
    assert peer.answer("a", {"x": 1}) == b'{"id":"a","result":{"x":1}}\n'
    refusal = {"code": -32000, "message": "no", "data": {"y": 2}}
    assert json.loads(peer.refuse("a", -32000, "no", {"y": 2})) == {"id": "a", "error": refusal}
    assert json.loads(peer.refuse(0, -32000, "no")) == {"id": 0, "error": {"code": -32000, "message": "no"}}


def test_absent_params_are_an_empty_object() -> None:
    """app-server.md section 2: the server refuses absent params."""
    assert json.loads(ready().request("thread/list", None, "t")[1])["params"] == {}
    assert ready().notify("x") == b'{"method":"x"}\n'
    assert ready().notify("x", {"a": 1}) == b'{"method":"x","params":{"a":1}}\n'


def nested(depth: int) -> list[Any]:
    """Return a list in a list in a list."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"text": "\ud800"}, "the message holds a lone surrogate, which is not valid UTF-8"),
        ({"deep": nested(MAX_DEPTH)}, "the message is nested deeper than 120 levels"),
        ({"x": object()}, "the message cannot be written as JSON: Encoding objects of type object is unsupported"),
        ({"x": 10**5000}, "the message cannot be written as JSON: Exceeds the limit"),
        ({("a", "b"): 1}, "the message cannot be written as JSON: "),
    ],
)
def test_what_would_kill_or_be_dropped_by_the_server_is_refused(params: object, reason: str) -> None:
    """Nothing is written, and no id is used up."""
    peer = ready()
    before = peer.next_id
    with pytest.raises(LocalProtocolError, match=reason):
        peer.request("a", params, "A")
    assert (peer.next_id, peer.in_flight) == (before, 0)


def test_a_value_that_holds_itself_is_refused() -> None:
    """No crash, no endless loop."""
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(LocalProtocolError, match="the message is nested too deeply or holds itself"):
        ready().request("a", {"x": loop}, "A")


@pytest.mark.parametrize(
    "name", ["a", "a name so long that the message is longer than two brackets for each level " * 4]
)
def test_a_message_may_be_as_deep_as_the_server_reads_and_no_deeper(name: str) -> None:
    """120 levels, of which the message itself is the first and its params, if they are an object, the second."""
    _, line = ready().request("a", {name: nested(117), "beside": []}, "A")
    assert _depth(line) == 120
    with pytest.raises(LocalProtocolError, match="nested deeper"):
        ready().request("a", {name: nested(118)}, "A")
    with pytest.raises(LocalProtocolError, match="nested deeper"):
        ready().notify("a", nested(119))


def test_bytes_that_are_no_json_are_measured_like_any_others() -> None:
    """A caller may hand raw bytes on; whatever they are, the error is the one that we promise."""
    deep = bytes(set(range(256)) - set(b'"[]{}\\')) + b"[" * 121
    with pytest.raises(LocalProtocolError, match="nested deeper"):
        ready().notify("a", msgspec.Raw(deep))


def test_many_brackets_that_are_not_deep_are_sent() -> None:
    """Depth is measured, not guessed."""
    params = {"list": [[] for _ in range(MAX_DEPTH * 2)], "text": "[{" * MAX_DEPTH + '\\"'}
    _, line = ready().request("a", params, "A")
    assert json.loads(line)["params"] == params


documents = st.recursive(
    st.none() | st.text('ab[]{}"\\\\', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a[{"\\\\', max_size=4), inner, max_size=3),
    max_leaves=20,
)


def depth_of(value: Any) -> int:
    """Return how deep a document nests."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(documents)
def test_depth_is_that_of_the_document_whatever_its_texts_hold(document: Any) -> None:
    """Brackets, quotes and backslashes in a text are text."""
    assert _depth(msgspec.json.encode(document)) == depth_of(document)


@pytest.mark.parametrize("raw", [b'{\n"x":\r\n1}', b'{\n"x":1}', b'{"x":\r1}'])
def test_a_line_never_holds_a_newline(raw: bytes) -> None:
    """Raw JSON passes the encoder unread."""
    _, line = ready().request("a", msgspec.Raw(raw), "A")
    assert (line.count(b"\n"), line.count(b"\r"), line[-1:]) == (1, 0, b"\n")
    assert json.loads(line)["params"] == {"x": 1}


def test_an_answer_under_an_absurd_id_is_late() -> None:
    """Python refuses to read so many digits; nothing that a server writes may raise."""
    received = ready().receive(b'{"id":"' + b"9" * 5000 + b'","result":{}}\n', 0, STAMP)
    assert (received.late, received.answered) == (1, [])


def test_a_call_whose_answer_is_too_long_fails_at_once() -> None:
    """M3: not at its deadline."""
    peer = ready(line_limit=100)
    request_id, _ = peer.request("a", {}, "A")
    received = hear(peer, {"id": request_id, "result": "x" * 200})
    assert received.too_long == 1
    ((token, envelope),) = received.answered
    assert token == "A"
    assert envelope.fault is not None
    assert envelope.fault.size > 200


def test_what_a_raw_value_says_is_not_changed_by_taking_its_newlines_out() -> None:
    """Between two digits one is an error, and stays one: the server must not read another number."""
    for raw in (b"1\n2", b"1\r2"):
        line = ready().notify("a", msgspec.Raw(raw))
        assert line == b'{"method":"a","params":1 2}\n'


@pytest.mark.parametrize("line", [b'{"id":%d}\n', b'{"id":%d,"emittedAtMs":5}\n', b'{"id":"%d","params":{}}\n'])
def test_a_call_whose_answer_holds_nothing_fails_at_once(line: bytes) -> None:
    """Neither a result nor an error: no better answer will come."""
    peer = ready()
    request_id, _ = peer.request("a", {}, "A")
    received = peer.receive(line % request_id, 0, STAMP)
    assert ([token for token, _ in received.answered], received.malformed, peer.in_flight) == (["A"], 1, 0)


@pytest.mark.parametrize("line", [b'{"id":%d,"result":oops}\n', b' { "id" : %d , "error" : \n'])
def test_a_call_whose_answer_is_broken_fails_at_once(line: bytes) -> None:
    """M2: the server has answered, and nobody will ever know what."""
    peer = ready()
    request_id, _ = peer.request("a", {}, "A")
    received = peer.receive(line % request_id, 0, STAMP)
    assert (received.malformed, received.too_long, peer.in_flight) == (1, 0, 0)
    assert [token for token, _ in received.answered] == ["A"]
    assert peer.receive(line % request_id, 0, STAMP).answered == []


def test_half_an_answer_at_the_end_of_the_stream_answers_nothing() -> None:
    """The server died while it wrote: the call is lost with it, not badly answered. Whole lines before it still count."""
    peer = ready()
    (first, _), (second, _) = peer.request("a", {}, "A"), peer.request("b", {}, "B")
    cut = b'{"id":%d,"result":oops}\n{"id":%d,"result":{"x"' % (first, second)
    assert [token for token, _ in peer.receive(cut, 0, STAMP).answered] == ["A"]
    received = peer.finish(0, STAMP)
    assert (received.malformed, received.answered) == (1, [])
    assert peer.close() == ["B"]


def test_of_several_lines_that_are_too_long_each_fails_its_own_call() -> None:
    """In one read, with other lines between them; and each sort is counted."""
    peer = ready(line_limit=60)
    ids = [peer.request("a", {}, token)[0] for token in ("A", "B", "C")]
    long = [b'{"id":%d,"result":"%s"}\n' % (each, b"x" * 100) for each in ids]
    others = b'not json\n[1]\n{"method":"ok"}\n{}\n{}\n{"id":77,"result":1}\n{"id":78,"result":1}\n'
    received = peer.receive(long[0] + others + long[2] + long[1], 0, STAMP)
    assert [token for token, _ in received.answered] == ["A", "C", "B"]
    assert (received.too_long, received.malformed, received.late) == (3, 4, 2)
    assert [envelope.raw for _, envelope in received.answered] == [long[0], long[2], long[1]]


def test_a_read_of_notifications_answers_nobody_and_asks_nothing() -> None:
    """The most frequent read: nothing to count, nothing to settle."""
    received = hear(ready(), {"method": "a"}, {"method": "b"})
    assert (len(received.envelopes), *received.answered, *received.asked) == (2,)
    assert (received.malformed, received.too_long, received.late) == (0, 0, 0)


def test_bad_lines_are_counted_by_sort() -> None:
    """Counted, told, skipped; never fatal."""
    peer = ready(line_limit=64)
    received = peer.receive(b'garbage\n{}\n{"method":"' + b"m" * 100 + b'"}\n{"method":"ok"}\n', 0, STAMP)
    assert (received.malformed, received.too_long, received.late) == (2, 1, 0)
    assert [envelope.kind for envelope in received.envelopes] == ["unusable", "unknown", "unusable", "notification"]


def test_the_last_line_needs_no_newline() -> None:
    """What the server said before it died counts."""
    peer = ready()
    request_id, _ = peer.request("a", {}, "A")
    peer.receive(b'{"id":%d,"result":1}' % request_id, 0, STAMP)
    assert peer.finish(0, STAMP).answered[0][0] == "A"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (b'{"code":-32600,"message":"no","data":{"x":1}}', (-32600, "no", {"x": 1})),
        (b'{"code":-1,"message":"no"}', (-1, "no", None)),
        (b'{"code":-5}', (-5, "the server gave no reason", None)),
        (b"{}", (0, "the server gave no reason", None)),
        (b'"text"', (0, "the server's error does not have the promised shape", None)),
        (b'{"code":"x"}', (0, "the server's error does not have the promised shape", None)),
    ],
)
def test_a_refusal_is_read_whatever_its_shape(error: bytes, expected: tuple[int, str, object]) -> None:
    """Typed where it can be, told where it cannot."""
    assert refusal_of(Envelope(error=msgspec.Raw(error))) == expected


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_no_bytes_make_receive_raise(chunks: list[bytes]) -> None:
    """h11's rule: what the peer says is an event, never an exception of ours."""
    peer = ready()
    peer.request("a", {}, "A")
    for chunk in chunks:
        peer.receive(chunk, 0, STAMP)
    peer.finish(0, STAMP)


class Correlation(RuleBasedStateMachine):
    """Any order of asking, answering, abandoning and repeating settles each request at most once, with its own answer."""

    def __init__(self) -> None:
        super().__init__()
        self.peer = ready()
        self.waiting: dict[int, str] = {}
        self.done: list[int] = []

    @rule()
    def ask(self) -> None:
        """Send a request under a new id."""
        token = f"t{self.peer.next_id}"
        request_id, _ = self.peer.request("m", {}, token)
        assert request_id not in self.waiting
        assert request_id not in self.done
        self.waiting[request_id] = token

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """Answer one that waits."""
        request_id = data.draw(st.sampled_from(sorted(self.waiting)))
        received = hear(self.peer, {"id": request_id, "result": request_id})
        assert [token for token, _ in received.answered] == [self.waiting.pop(request_id)]
        self.done.append(request_id)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        """Give one up."""
        request_id = data.draw(st.sampled_from(sorted(self.waiting)))
        self.peer.abandon(request_id)
        del self.waiting[request_id]
        self.done.append(request_id)

    @precondition(lambda self: self.done)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Answer one that is settled."""
        received = hear(self.peer, {"id": data.draw(st.sampled_from(self.done)), "result": 0})
        assert (received.answered, received.late) == ([], 1)

    @invariant()
    def counts_agree(self) -> None:
        """Nothing is forgotten."""
        assert self.peer.in_flight == len(self.waiting)


TestCorrelation = Correlation.TestCase
