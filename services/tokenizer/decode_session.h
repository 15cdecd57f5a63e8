#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/detokenizer.h"
#include "conclave/v1/tokenizer.pb.h"
#include "platform/rpc/server_call.h"
#include "services/tokenizer/model_tokenizer.h"
#include "services/tokenizer/tokenizer_counters.h"

namespace conclave::tokenizer {

/// One Decode stream with its open sequences. Messages come one at a time, so that no actor is needed to
/// order them.
class DecodeSession {
 public:
  using Stream = platform::BidiServerStream<v1::DecodeRequest, v1::DecodeResponse>;

  /// `tokenizer` and `counters` must outlive the session.
  DecodeSession(const ModelTokenizer& tokenizer, TokenizerCounters& counters, std::shared_ptr<Stream> stream)
      : tokenizer_(tokenizer), counters_(counters), stream_(std::move(stream)) {}
  ~DecodeSession();

  /// Sets the callbacks of the stream, which keep the session as long as it is open.
  static void Serve(std::shared_ptr<DecodeSession> session);

  /// The texts that a request makes certain. One thread at a time. Errors: INVALID_ARGUMENT (an id that is no
  /// token, too many ids; a `more` within `more`, or too many), RESOURCE_EXHAUSTED (more than
  /// kMaxOpenSequences).
  Result<v1::DecodeResponse> Decode(const v1::DecodeRequest& request);

 private:
  Result<v1::DecodeResponse> DecodePart(const v1::DecodeRequest& part);
  void UpdateReading();

  const ModelTokenizer& tokenizer_;
  TokenizerCounters& counters_;
  const std::shared_ptr<Stream> stream_;
  std::unordered_map<uint64_t, Detokenizer> sequences_;
  std::mutex reading_mutex_;  // Makes looking at the queue and pausing one step.
};

}  // namespace conclave::tokenizer
