from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from ledgerfed.errors import InvalidValueError, NotFoundError, WaitTimeoutError
from ledgerfed.network import MAX_MESSAGE_BYTES, Fault, InProcessTransport, Message


def _peers(count: int, fault: Fault | None = None) -> InProcessTransport:
    transport = InProcessTransport(fault) if fault else InProcessTransport()
    for peer in range(count):
        transport.subscribe("leaves", peer)
    return transport


def _data(messages: Sequence[Message]) -> list[bytes]:
    return [message.data for message in messages]


def test_everyone_but_the_sender_receives_once_and_in_order() -> None:
    transport = _peers(3)
    for number in range(5):
        transport.publish("leaves", number % 2, bytes([number]))
    assert transport.receive("leaves", 2) == [Message("leaves", n % 2, bytes([n])) for n in range(5)]
    assert _data(transport.receive("leaves", 0)) == [b"\x01", b"\x03"]
    assert transport.receive("leaves", 2) == []


def test_topics_are_apart_and_what_was_said_before_subscribing_is_not_heard() -> None:
    transport = _peers(2)
    transport.publish("scores", 0, b"too early")
    transport.subscribe("scores", 1)
    transport.publish("scores", 0, b"heard")
    transport.subscribe("scores", 1)
    assert transport.receive("leaves", 1) == []
    assert _data(transport.receive("scores", 1)) == [b"heard"]


def test_looking_without_a_subscription_is_an_error() -> None:
    with pytest.raises(NotFoundError, match="peer 7 has not subscribed to 'leaves'"):
        _peers(2).receive("leaves", 7)


def test_a_fault_drops_duplicates_and_delays_for_one_receiver() -> None:
    def fault(message: Message, receiver: int) -> Sequence[int]:
        return (
            {b"lost": (), b"twice": (0, 0), b"late": (2,)}.get(message.data, (0,)) if receiver == 1 else (0,)
        )

    transport = _peers(3, fault)
    for data in (b"lost", b"late", b"twice", b"plain"):
        transport.publish("leaves", 0, data)
    assert _data(transport.receive("leaves", 2)) == [b"lost", b"late", b"twice", b"plain"]
    looks = [_data(transport.receive("leaves", 1)) for _ in range(4)]
    assert looks == [[b"twice", b"twice", b"plain"], [], [b"late"], []]


def test_a_request_reaches_the_handler_with_the_name_of_who_asks() -> None:
    transport = _peers(2)
    transport.serve(1, "blob", lambda sender, data: b"%d:" % sender + data)
    assert transport.request(1, "blob", b"digest", sender=0) == b"0:digest"
    with pytest.raises(NotFoundError, match="peer 0 does not speak 'blob'"):
        transport.request(0, "blob", b"digest", sender=1)


def test_a_handler_may_publish_and_its_errors_reach_who_asked() -> None:
    transport = _peers(2)

    def refuse(sender: int, data: bytes) -> bytes:
        transport.publish("leaves", 1, b"asked")
        raise NotFoundError("not here")

    transport.serve(1, "blob", refuse)
    with pytest.raises(NotFoundError, match="not here"):
        transport.request(1, "blob", b"", sender=0)
    assert _data(transport.receive("leaves", 0)) == [b"asked"]


def test_a_lost_request_times_out() -> None:
    transport = _peers(2, lambda message, receiver: ())
    transport.serve(1, "blob", lambda sender, data: data)
    with pytest.raises(WaitTimeoutError, match="ask another"):
        transport.request(1, "blob", b"", sender=0)


def test_a_message_too_large_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="publish its hash"):
        _peers(2).publish("leaves", 0, bytes(MAX_MESSAGE_BYTES + 1))


def test_threads_lose_no_message() -> None:
    transport = _peers(9)
    with ThreadPoolExecutor(8) as pool:
        for sender in range(8):
            pool.submit(lambda s: [transport.publish("leaves", s, b"%d" % n) for n in range(200)], sender)
    received = transport.receive("leaves", 8)
    for sender in range(8):
        assert [m.data for m in received if m.sender == sender] == [b"%d" % n for n in range(200)]
