#pragma once

#include <memory>
#include <mutex>

#include "conclave/v1/tokenizer.pb.h"
#include "platform/rpc/server_call.h"
#include "services/tokenizer/large_text_queue.h"
#include "services/tokenizer/model_tokenizer.h"
#include "services/tokenizer/tokenizer_counters.h"

namespace conclave::tokenizer {

/// One Encode stream: answers in the order of the requests, and reads no further while a large text is
/// encoded elsewhere or while the client does not take its answers. Any thread may call.
class EncodeSession {
 public:
  using Stream = platform::BidiServerStream<v1::EncodeRequest, v1::EncodeResponse>;

  /// `tokenizer`, `queue` and `counters` must outlive the session.
  EncodeSession(const ModelTokenizer& tokenizer, LargeTextQueue& queue, TokenizerCounters& counters,
                std::shared_ptr<Stream> stream)
      : tokenizer_(tokenizer), queue_(queue), counters_(counters), stream_(std::move(stream)) {}

  /// Sets the callbacks of the stream, which keep the session as long as it is open.
  static void Serve(std::shared_ptr<EncodeSession> session);

 private:
  static void Take(const std::shared_ptr<EncodeSession>& session, v1::EncodeRequest request);
  void Answer(const v1::EncodeRequest& request);
  /// Reads on, or not: see above.
  void UpdateReading(bool work_done);

  const ModelTokenizer& tokenizer_;
  LargeTextQueue& queue_;
  TokenizerCounters& counters_;
  const std::shared_ptr<Stream> stream_;
  std::mutex mutex_;
  bool busy_ = false;  // A text is with the queue. Guarded by mutex_.
};

}  // namespace conclave::tokenizer
