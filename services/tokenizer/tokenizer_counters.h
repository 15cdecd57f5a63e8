#pragma once

#include "platform/metrics/metrics.h"
#include "services/tokenizer/metrics.h"

namespace conclave::tokenizer {

/// The service's metrics, looked up once.
struct TokenizerCounters {
  explicit TokenizerCounters(platform::Metrics& metrics)
      : encoded_bytes(metrics.Counter(kEncodedBytesTotal)),
        encoded_tokens(metrics.Counter(kEncodedTokensTotal)),
        decoded_tokens(metrics.Counter(kDecodedTokensTotal)),
        open_sequences(metrics.Gauge(kOpenSequences)),
        queued_bytes(metrics.Gauge(kQueuedBytes)) {}

  void CountEncoded(size_t bytes, size_t tokens) {
    encoded_bytes.Increment(static_cast<double>(bytes));
    encoded_tokens.Increment(static_cast<double>(tokens));
  }

  prometheus::Counter& encoded_bytes;
  prometheus::Counter& encoded_tokens;
  prometheus::Counter& decoded_tokens;
  prometheus::Gauge& open_sequences;
  prometheus::Gauge& queued_bytes;
};

}  // namespace conclave::tokenizer
