#pragma once

#include "platform/metrics/metrics.h"

namespace conclave::tokenizer {

// The metrics of the tokenizer service.

inline const platform::MetricDefinition kEncodedBytesTotal{
    "conclave_tokenizer_encoded_bytes_total", "Bytes of text turned into tokens, rendered chats included."};
inline const platform::MetricDefinition kEncodedTokensTotal{"conclave_tokenizer_encoded_tokens_total",
                                                            "Tokens made from text."};
inline const platform::MetricDefinition kDecodedTokensTotal{"conclave_tokenizer_decoded_tokens_total",
                                                            "Tokens turned into text."};
inline const platform::MetricDefinition kOpenSequences{"conclave_tokenizer_open_sequences",
                                                       "Sequences that Decode streams hold open."};
inline const platform::MetricDefinition kQueuedBytes{
    "conclave_tokenizer_queued_bytes", "Bytes of large texts that wait for the large-text thread."};

}  // namespace conclave::tokenizer
