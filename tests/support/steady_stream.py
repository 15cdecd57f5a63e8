"""A well-behaved client beside a badly behaved one: an answer that runs, and how many tokens it got so far."""

import threading
import time

from support import router_client

# Fewer tokens a second than this share of what the stream got alone means that it was held up: whoever is beside it
# takes processor time too, and a step over 64 sequences takes about ten times as long as one over a single one.
LEAST_SHARE = 1 / 50
BASELINE_TOKENS = 48


class SteadyStream:
    """One greedy answer of exactly `tokens` tokens, read by a thread of its own."""

    def __init__(self, stubs, channel, tokens: int):
        self._events = router_client.ask(stubs, channel, "Tell me a long story about a lighthouse.",
                                         {"temperature": 0, "max_tokens": tokens, "ignore_eos": True})
        self._wanted = tokens
        self._changed = threading.Condition()
        self._failure: Exception | None = None
        self.arrivals: list[float] = []
        self.tokens: list[int] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        start = time.monotonic()
        self.wait_for(BASELINE_TOKENS)
        self.baseline_per_s = BASELINE_TOKENS / (time.monotonic() - start)

    def _read(self) -> None:
        try:
            for event in self._events:
                with self._changed:
                    self.tokens.extend(event.delta.token_ids)
                    self.arrivals.extend([time.monotonic()] * len(event.delta.token_ids))
                    self._changed.notify_all()
        except Exception as failure:  # the test's own thread raises it
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.tokens) >= count or self._failure is not None,
                                             timeout=router_client.LIMIT_S)
            if self._failure is not None:
                raise self._failure
            assert arrived, f"only {len(self.tokens)} of {count} tokens came"

    def kept_its_pace(self, begin: float, end: float) -> None:
        """Between these moments; the answer may have ended meanwhile."""
        with self._changed:
            arrivals = list(self.arrivals)
        if len(arrivals) == self._wanted:
            end = min(end, arrivals[-1])
        during = sum(begin <= at <= end for at in arrivals)
        least = LEAST_SHARE * self.baseline_per_s * (end - begin)
        assert during >= least, f"{during} tokens in {end - begin:.1f} s; alone {self.baseline_per_s:.0f} a second"

    def cancel(self) -> None:
        self._events.cancel()
        self._thread.join(timeout=router_client.LIMIT_S)
