"""Nodes with front doors on real sockets: what arrives, what is turned away, and what a peer cannot do."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from ledgerfed.errors import (
    ConfigurationError,
    InvalidValueError,
    NotFoundError,
    WaitTimeoutError,
)
from ledgerfed.ledger import DemoSigner, demo_key
from ledgerfed.network import MAX_MESSAGE_BYTES, HttpTransport, Message, Peer, courier
from ledgerfed.network.envelope import Envelope, Kind, write_credentials
from ledgerfed.network.http_server import MAX_CONNECTIONS, MAX_HEAD_BYTES
from ledgerfed.network.http_transport import MAX_AT_ONCE
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak

FEDERATION = Federation(31337, bytes([7]) * 20)
KEYS = [demo_key(3, index) for index in range(5)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Town:
    """Members with addresses that all know, whose nodes come and go."""

    def __init__(self, size: int) -> None:
        self.peers = [Peer(KEYS[i].address, f"http://127.0.0.1:{_free_port()}") for i in range(size)]
        self.nodes: dict[int, HttpTransport] = {}

    def start(self, index: int, topics: tuple[str, ...] = ("leaves",), **options: float) -> HttpTransport:
        url = self.peers[index].url
        assert url is not None
        port = int(url.rpartition(":")[2])
        node = HttpTransport(FEDERATION, index, KEYS[index], self.peers, os.urandom(32), port=port, **options)
        for topic in topics:
            node.subscribe(topic, index)
        self.nodes[index] = node
        return node

    def stop(self, index: int) -> None:
        self.nodes.pop(index).close()

    def close(self) -> None:
        for index in list(self.nodes):
            self.stop(index)


@pytest.fixture
def new_town() -> Iterator[Callable[[int], Town]]:
    with ExitStack() as stack:

        def found(size: int) -> Town:
            town = Town(size)
            stack.callback(town.close)
            return town

        yield found


@pytest.fixture
def town(new_town: Callable[[int], Town]) -> Town:
    """Two nodes that run, and a third member whose node does not."""
    town = new_town(3)
    town.start(0)
    town.start(1)
    return town


def _await(node: HttpTransport, topic: str, count: int, seconds: float = 10.0) -> list[Message]:
    found: list[Message] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        node.wait(0.05)
        found += node.receive(topic, node._index)
    return found


def _session(node: HttpTransport, sender: int) -> tuple[bytes, int]:
    body = httpx.get(f"{node.url}/v1/session/{sender}").content
    return body[:32], int.from_bytes(body[32:], "big")


def _credentials(
    node: HttpTransport,
    message: bytes,
    *,
    sender: int = 0,
    signer: DemoSigner | None = None,
    federation: Federation = FEDERATION,
    **changes: object,
) -> dict[str, str]:
    """What a member sends along with a message to `node`; the keywords say what is wrong with it."""
    session, counter = _session(node, sender)
    fields = {
        "kind": Kind.GOSSIP,
        "topic": "leaves",
        "sender": sender,
        "receiver": node._index,
        "session": session,
        "counter": counter,
        "data": keccak(message),
    }
    envelope = Envelope(**(fields | changes))
    signature = (signer or KEYS[sender]).sign_digest(envelope.digest(federation))
    return {"Authorization": write_credentials(envelope, signature)}


def _post(node: HttpTransport, data: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{node.url}/v1/messages", content=data, headers=headers, timeout=20)


# --- what arrives ---------------------------------------------------------------------------------------


def test_what_one_publishes_all_others_receive_in_order(new_town: Callable[[int], Town]) -> None:
    town = new_town(4)
    nodes = [town.start(index, ("leaves", "scores")) for index in range(4)]
    for number in range(20):
        nodes[2].publish("leaves", 2, bytes([number]))
    nodes[2].publish("scores", 2, b"apart")
    for index in (0, 1, 3):
        assert _await(nodes[index], "leaves", 20) == [Message("leaves", 2, bytes([n])) for n in range(20)]
        assert [m.data for m in _await(nodes[index], "scores", 1)] == [b"apart"]
    assert nodes[2].receive("leaves", 2) == []


def test_a_request_is_answered_by_the_peer_that_was_asked(town: Town) -> None:
    town.nodes[1].serve(1, "blob", lambda sender, data: b"%d asked for %s" % (sender, data))
    assert town.nodes[0].request(1, "blob", b"this", 0) == b"0 asked for this"
    with pytest.raises(NotFoundError, match="peer 1 does not speak 'prices'"):
        town.nodes[0].request(1, "prices", b"", 0)


def test_the_largest_message_arrives_and_a_larger_one_does_not_leave(town: Town) -> None:
    large = os.urandom(MAX_MESSAGE_BYTES)
    town.nodes[1].serve(1, "blob", lambda sender, data: large)
    town.nodes[0].publish("leaves", 0, large)
    assert [m.data for m in _await(town.nodes[1], "leaves", 1, 20)] == [large]
    assert town.nodes[0].request(1, "blob", b"", 0) == large
    with pytest.raises(InvalidValueError):
        town.nodes[0].publish("leaves", 0, large + b"1")


def test_what_was_said_to_a_dead_peer_reaches_it_when_it_lives(town: Town) -> None:
    started = time.monotonic()
    for number in range(5):
        town.nodes[0].publish("leaves", 0, bytes([number]))
    assert time.monotonic() - started < 0.5
    assert len(_await(town.nodes[1], "leaves", 5)) == 5
    time.sleep(0.3)
    assert 2 in town.nodes[0].troubles()
    late = town.start(2)
    assert [m.data for m in _await(late, "leaves", 5)] == [bytes([n]) for n in range(5)]


def test_a_peer_that_was_restarted_is_reached_in_its_new_session(town: Town) -> None:
    town.nodes[0].publish("leaves", 0, b"before")
    assert len(_await(town.nodes[1], "leaves", 1)) == 1
    town.stop(1)
    again = town.start(1)
    town.nodes[0].publish("leaves", 0, b"after")
    assert [m.data for m in _await(again, "leaves", 1)] == [b"after"]


def test_a_sender_that_was_restarted_goes_on_counting_where_the_receiver_stands(town: Town) -> None:
    for _ in range(3):
        town.nodes[0].publish("leaves", 0, b"x")
        assert len(_await(town.nodes[1], "leaves", 1)) == 1
        town.stop(0)
        town.start(0)


def test_a_dead_peer_costs_who_asks_it_next_to_nothing_the_second_time(town: Town) -> None:
    silent = socket.socket()  # accepts connections and never says a word
    silent.bind(("127.0.0.1", int(town.peers[2].url.rpartition(":")[2])))
    silent.listen(8)
    town.stop(0)
    node = town.start(0, request_seconds=0.5)
    for slowest in (2.0, 0.05):
        started = time.monotonic()
        with pytest.raises(WaitTimeoutError):
            node.request(2, "blob", b"", 0)
        assert time.monotonic() - started < slowest
    silent.close()


def test_a_peer_that_came_back_is_asked_again_without_anybody_having_to_say_a_word(town: Town) -> None:
    node = town.nodes[0]
    with pytest.raises(WaitTimeoutError):
        node.request(2, "blob", b"", 0)
    town.start(2).serve(2, "blob", lambda sender, data: b"here")
    for _ in range(100):
        if not node.troubles():
            break
        time.sleep(0.05)
    assert node.request(2, "blob", b"", 0) == b"here"


def test_who_has_shown_that_it_lives_is_tried_again_at_once(town: Town) -> None:
    node = town.nodes[0]
    for _ in range(8):  # pauses grow to 10 s
        node._loop.call_soon_threadsafe(node._couriers[2]._failed, "not there")
    town.start(2).publish("leaves", 2, b"I am back")
    assert len(_await(node, "leaves", 1)) == 1
    node.publish("leaves", 0, b"so are we")
    assert [m.data for m in _await(town.nodes[2], "leaves", 1, 3.0)] == [b"so are we"]


def test_many_threads_publish_and_nothing_is_lost(town: Town) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: town.nodes[0].publish("leaves", 0, b"%d" % n), range(100)))
    assert {m.data for m in _await(town.nodes[1], "leaves", 100)} == {b"%d" % n for n in range(100)}


def test_a_topic_counts_from_its_subscription_on_and_until_then_senders_wait(town: Town) -> None:
    node = town.nodes[1]
    with pytest.raises(NotFoundError, match="'scores' was not subscribed"):
        node.receive("scores", 1)
    town.nodes[0].publish("scores", 0, b"early")
    time.sleep(0.15)
    node.subscribe("scores", 1)
    assert [m.data for m in _await(node, "scores", 1)] == [b"early"]


def test_what_nobody_listens_to_does_not_hold_up_what_follows(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "MAX_PAUSE", 0.01)
    town.nodes[0].publish("topic of another version", 0, b"?")
    town.nodes[0].publish("leaves", 0, b"follows")
    assert [m.data for m in _await(town.nodes[1], "leaves", 1)] == [b"follows"]


def test_a_taken_port_is_said_in_one_line(town: Town) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on 127\.0\.0\.1:\d+ .*--listen"):
        HttpTransport(FEDERATION, 2, KEYS[2], town.peers, os.urandom(32), port=town.nodes[0].port)


@pytest.mark.parametrize(
    "url", ["ftp://a", "http://", "host:9100", "http://a/?x=1", "http://me@a", "http://a:x"]
)
def test_a_peer_has_a_plain_http_url(url: str) -> None:
    with pytest.raises(InvalidValueError, match="no URL of a peer"):
        Peer(KEYS[0].address, url)


# --- what is turned away --------------------------------------------------------------------------------


def test_a_member_who_signs_as_another_is_turned_away(town: Town) -> None:
    node, data = town.nodes[1], b"I am 0, says 2"
    assert _post(node, data, _credentials(node, data, sender=0, signer=KEYS[2])).status_code == 401
    assert _post(node, data, _credentials(node, data, sender=0)).status_code == 204
    assert [m.sender for m in node.receive("leaves", 1)] == [0]


def test_a_stranger_is_turned_away_before_his_data_is_read(town: Town) -> None:
    node, data = town.nodes[1], b"?" * 1000
    headers = _credentials(node, data, signer=demo_key(99, 99))
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as stranger:
        head = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data)}\r\n"
        stranger.sendall(f"{head}Authorization: {headers['Authorization']}\r\n\r\n".encode())
        assert stranger.recv(4096).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (401, {"federation": Federation(31337, bytes([8]) * 20)}),
        (401, {"federation": Federation(1, bytes([7]) * 20)}),
        (401, {"receiver": 2}),
        (401, {"sender": 1}),
        (409, {"session": bytes(32)}),
        (409, {"counter": 1 << 40}),
        (400, {"data": keccak(b"other data")}),
        (404, {"topic": "prices"}),
        (404, {"kind": Kind.REQUEST}),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else next(iter(value)),
)
def test_an_envelope_is_good_in_one_place(town: Town, status: int, changes: dict[str, object]) -> None:
    node = town.nodes[1]
    assert _post(node, b"data", _credentials(node, b"data", **changes)).status_code == status
    assert node.receive("leaves", 1) == []


def test_an_envelope_is_good_once(town: Town) -> None:
    node = town.nodes[1]
    headers = _credentials(node, b"data")
    assert [_post(node, b"data", headers).status_code for _ in range(3)] == [204, 409, 409]
    assert len(node.receive("leaves", 1)) == 1


def test_an_envelope_of_an_earlier_run_is_not_good_in_the_next(town: Town) -> None:
    headers = _credentials(town.nodes[1], b"data")
    assert _post(town.nodes[1], b"data", headers).status_code == 204
    town.stop(1)
    assert _post(town.start(1), b"data", headers).status_code == 409


def test_what_a_receiver_was_sent_it_cannot_pass_on_in_the_senders_name(
    new_town: Callable[[int], Town],
) -> None:
    town = new_town(3)
    nodes = [town.start(index) for index in range(3)]
    headers = _credentials(nodes[1], b"data")
    assert _post(nodes[2], b"data", headers).status_code == 401


def test_an_envelope_of_a_request_is_no_gossip(town: Town) -> None:
    node = town.nodes[1]
    forged = Envelope(Kind.GOSSIP, "leaves", 0, 1, *_session(node, 0), keccak(b"data"))
    signature = KEYS[0].sign_digest(
        Envelope(Kind.REQUEST, "leaves", 0, 1, *_session(node, 0), keccak(b"data")).digest(FEDERATION)
    )
    assert _post(node, b"data", {"Authorization": write_credentials(forged, signature)}).status_code == 401


@pytest.mark.parametrize(
    "value", ["", "LedgerFed", "LedgerFed !!!!", "Bearer abc", "LedgerFed AAAA", "LedgerFed " + "A" * 4000]
)
def test_garbage_in_place_of_an_envelope_is_a_bad_request(town: Town, value: str) -> None:
    assert _post(town.nodes[1], b"data", {"Authorization": value}).status_code == 400


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/session/" + b"9" * 50 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (2 * MAX_HEAD_BYTES) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (MAX_HEAD_BYTES // 4) + b"\r\n",
        b"",
    ],
)
def test_garbage_on_the_wire_is_refused_and_the_node_goes_on(town: Town, garbage: bytes) -> None:
    node = town.nodes[1]
    with socket.create_connection(("127.0.0.1", node.port), timeout=8) as stranger:
        stranger.sendall(garbage)
        stranger.shutdown(socket.SHUT_WR)
        try:
            answer = stranger.recv(4096)
        except ConnectionResetError:
            answer = b""
    assert not answer or answer.split()[1] in (b"400", b"404", b"411", b"413", b"431")
    assert _post(node, b"data", _credentials(node, b"data")).status_code == 204


def test_a_member_cannot_send_more_than_a_message_may_hold(town: Town) -> None:
    node = town.nodes[1]
    headers = _credentials(node, b"") | {"Content-Length": str(MAX_MESSAGE_BYTES + 1)}
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as member:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        member.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode())
        assert member.recv(4096).startswith(b"HTTP/1.1 413 ")


# --- what a peer cannot do ------------------------------------------------------------------------------


def test_heads_that_never_end_are_hung_up_on(new_town: Callable[[int], Town]) -> None:
    node = new_town(2).start(1, head_seconds=0.4)
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as slow:
        started = time.monotonic()
        try:
            while time.monotonic() - started < 4:
                slow.sendall(b"G")
                time.sleep(0.05)
        except OSError:
            pass
        assert time.monotonic() - started < 2
    with socket.create_connection(("127.0.0.1", node.port), timeout=3) as silent:
        assert silent.recv(1) == b""


def test_connections_that_say_nothing_do_not_keep_members_out(new_town: Callable[[int], Town]) -> None:
    town = new_town(2)
    node = town.start(1, head_seconds=60)
    silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(MAX_CONNECTIONS)]
    sender = town.start(0)
    sender.publish("leaves", 0, b"through the crowd")
    assert [m.data for m in _await(node, "leaves", 1)] == [b"through the crowd"]
    for connection in silent:
        connection.close()


def test_a_member_who_floods_pushes_out_his_own_messages_only(new_town: Callable[[int], Town]) -> None:
    town = new_town(3)
    node = town.start(1)
    quiet, loud = town.start(2), town.start(0)
    quiet.publish("leaves", 2, b"once")
    time.sleep(0.3)
    session, counter = _session(node, 0)
    with httpx.Client() as client:
        for number in range(600):
            envelope = Envelope(
                Kind.GOSSIP, "leaves", 0, 1, session, counter + number, keccak(b"%d" % number)
            )
            signature = KEYS[0].sign_digest(envelope.digest(FEDERATION))
            headers = {"Authorization": write_credentials(envelope, signature)}
            client.post(f"{node.url}/v1/messages", content=b"%d" % number, headers=headers)
    received = node.receive("leaves", 1)
    assert [m.data for m in received if m.sender == 2] == [b"once"]
    assert [m.data for m in received if m.sender == 0] == [b"%d" % n for n in range(600 - 256, 600)]
    assert loud.troubles() == {}


def test_a_member_has_a_bounded_number_of_messages_on_their_way_in(new_town: Callable[[int], Town]) -> None:
    town = new_town(3)
    node = town.start(1)
    half = []
    for number in range(MAX_AT_ONCE):
        headers = _credentials(node, b"xy", counter=number)
        connection = socket.create_connection(("127.0.0.1", node.port), timeout=5)
        lines = f"Content-Length: 2\r\nAuthorization: {headers['Authorization']}\r\n"
        connection.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: a\r\n{lines}\r\nx".encode())
        half.append(connection)
    time.sleep(0.3)
    assert _post(node, b"data", _credentials(node, b"data", counter=99)).status_code == 429
    assert _post(node, b"data", _credentials(node, b"data", sender=2)).status_code == 204
    for connection in half:
        connection.close()
    time.sleep(0.3)
    assert _post(node, b"data", _credentials(node, b"data", counter=100)).status_code == 204


def test_an_answer_that_never_ends_is_cut_off(town: Town) -> None:
    """A peer that answers a byte at a time, or without end, takes no more than the time of one question."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", int(town.peers[2].url.rpartition(":")[2])))
    listener.listen(8)
    ended = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n")
        while not ended.wait(0.1):
            try:
                connection.sendall(b"x")
            except OSError:
                break
        connection.close()

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    town.stop(0)
    node = town.start(0, request_seconds=0.5)
    started = time.monotonic()
    with pytest.raises(WaitTimeoutError):
        node.request(2, "blob", b"", 0)
    assert time.monotonic() - started < 2
    ended.set()
    thread.join(5)
    listener.close()


def test_connections_are_counted(new_town: Callable[[int], Town]) -> None:
    node = new_town(2).start(1, head_seconds=60)
    opened = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(MAX_CONNECTIONS + 40)]
    time.sleep(0.5)
    assert len(node._server._connections) <= MAX_CONNECTIONS
    for connection in opened:
        connection.close()


def test_an_answer_larger_than_a_message_is_not_read_to_its_end(town: Town) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", int(town.peers[2].url.rpartition(":")[2])))
    listener.listen(8)
    sent = []

    def pour() -> None:
        connection, _ = listener.accept()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n")
        try:
            while True:
                sent.append(connection.send(bytes(1 << 20)))
        except OSError:
            connection.close()

    thread = threading.Thread(target=pour, daemon=True)
    thread.start()
    town.stop(0)
    node = town.start(0, request_seconds=20)
    started = time.monotonic()
    with pytest.raises(WaitTimeoutError):
        node.request(2, "blob", b"", 0)
    thread.join(20)
    assert time.monotonic() - started < 15
    assert sum(sent) < 4 * MAX_MESSAGE_BYTES
    listener.close()


def test_what_waits_for_a_dead_peer_is_bounded_and_the_newest(town: Town) -> None:
    for number in range(400):
        town.nodes[0].publish("leaves", 0, b"%d" % number)
    time.sleep(0.3)
    late, received = town.start(2), []
    while not received or received[-1].data != b"399":
        received += _await(late, "leaves", 1)
    assert len(received) <= 129


def test_a_peer_that_lies_about_its_session_is_not_believed(town: Town) -> None:
    """What is signed for a session that nobody has is good nowhere."""
    node = town.nodes[1]
    envelope = Envelope(Kind.GOSSIP, "leaves", 0, 1, keccak(b"invented"), 0, keccak(b"data"))
    headers = {"Authorization": write_credentials(envelope, KEYS[0].sign_digest(envelope.digest(FEDERATION)))}
    assert _post(node, b"data", headers).status_code == 409


def test_a_body_in_chunks_is_no_longer_than_its_head_said(town: Town) -> None:
    node = town.nodes[1]
    lines = f"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n{_line(_credentials(node, b'data'))}"
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as member:
        member.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: a\r\n{lines}\r\n64\r\n{'x' * 100}\r\n".encode())
        assert member.recv(4096).startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 "))


def _line(headers: dict[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
