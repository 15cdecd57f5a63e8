"""Asks a running server for answers, with the classes generated from proto/."""

import time

import grpc

from support.time_limits import scaled

LIMIT_S = scaled(120)


def chat_request(stubs, text: str, sampling: dict, **fields):
    messages = [stubs.common_pb2.ChatMessage(role=stubs.common_pb2.ROLE_USER, content=text)]
    return stubs.router_pb2.ChatRequest(messages=messages, sampling=stubs.common_pb2.SamplingParams(**sampling),
                                        **fields)


def ask(stubs, channel, text: str, sampling: dict, limit_s: float = LIMIT_S, **fields):
    """The events of one chat, as they come. `sampling` and `fields` are those of the messages."""
    router = stubs.router_pb2_grpc.RouterServiceStub(channel)
    return router.Chat(chat_request(stubs, text, sampling, **fields), timeout=limit_s)


def tokens_of(events) -> list[int]:
    return [token for event in events for token in event.delta.token_ids]


def text_of(events) -> str:
    return "".join(event.delta.text for event in events)


def decoder_status(stubs, channel):
    """What the decoder behind this channel is doing."""
    return stubs.decoder_pb2_grpc.DecoderServiceStub(channel).Status(stubs.decoder_pb2.StatusRequest(),
                                                                     timeout=LIMIT_S)


def wait_until(condition, limit_s: float = LIMIT_S) -> None:
    """Asks again until it holds; raises when it never does."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.005)


def failure_of(call) -> grpc.RpcError | None:
    """Runs a call to its end; its failure, if it fails."""
    try:
        list(call)
    except grpc.RpcError as failure:
        return failure
    return None
