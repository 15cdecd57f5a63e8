"""A long conversation outlives a restart of the server: its history comes from disk, and changes no token."""

import time

import grpc
import pytest

from support import router_client

HISTORY_WORDS = 1400
TURN = {"temperature": 0, "max_tokens": 8}


def long_text() -> str:
    return " ".join(f"Item {index} is kept on shelf {index * 7 % 97}." for index in range(HISTORY_WORDS // 7))


class Turn:
    """The answer to a long text: its tokens, its usage, and the seconds to its first token."""

    def __init__(self, stubs, server, question: str):
        with grpc.insecure_channel(server.address) as channel:
            grpc.channel_ready_future(channel).result(timeout=router_client.LIMIT_S)
            started = time.monotonic()
            events = []
            self.first_token_s = 0.0
            for event in router_client.ask(stubs, channel, f"{long_text()} {question}", TURN):
                if event.delta.token_ids and not events:
                    self.first_token_s = time.monotonic() - started
                if event.delta.token_ids:
                    events.append(event)
                if event.HasField("finished"):
                    self.usage = event.finished.usage
            self.tokens = router_client.tokens_of(events)
            self.status = router_client.decoder_status(stubs, channel)


@pytest.mark.slow
def test_a_long_chat_goes_on_after_a_restart_without_its_history_being_computed(stubs, start_server, capsys):
    first = start_server()
    Turn(stubs, first, "Which is on shelf 7?")
    assert first.stop() == 0, first.log_text()
    again = start_server()
    warm = Turn(stubs, again, "Which is on shelf 8?")
    assert warm.usage.prompt_tokens > 1000
    assert warm.usage.cached_prompt_tokens > warm.usage.prompt_tokens - 100
    assert warm.status.prefix_disk_hits == 1
    assert warm.status.prefix_disk_errors == 0
    assert warm.status.prefix_disk_bytes_used > 0
    again.kill()
    killed = start_server()
    after_kill = Turn(stubs, killed, "Which is on shelf 8?")
    assert killed.stop() == 0, killed.log_text()
    cold = Turn(stubs, start_server("--data-dir", str(first.log.parent / "empty")), "Which is on shelf 8?")
    assert cold.usage.cached_prompt_tokens == 0
    assert cold.tokens and warm.tokens == cold.tokens
    assert after_kill.tokens == cold.tokens
    with capsys.disabled():
        print(f"\n{warm.usage.prompt_tokens} prompt tokens, first token after a restart: {warm.first_token_s:.3f} s "
              f"with the history on disk, {cold.first_token_s:.3f} s without")
