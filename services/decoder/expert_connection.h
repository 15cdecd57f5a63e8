#pragma once

#include <chrono>

#include "base/result.h"
#include "conclave/v1/experts.pb.h"

namespace conclave::decoder {

/// One way on which frames go to a shard and answers come back, in order. Used by one thread.
class ExpertConnection {
 public:
  virtual ~ExpertConnection() = default;

  /// Sends a frame, or keeps a copy until it can be sent; the shard's answer is not waited for. The frame is
  /// as it was when this returns. Errors: UNAVAILABLE.
  virtual Status Send(v1::ExchangeRequest& frame) = 0;

  /// The next answer; the room of the one that `answer` holds is used again. Errors: DEADLINE_EXCEEDED (it
  /// may be asked for again), UNAVAILABLE (the connection broke), DATA_LOSS, or what the shard said.
  virtual Status Receive(v1::ExchangeResponse& answer, std::chrono::steady_clock::time_point deadline) = 0;
};

}  // namespace conclave::decoder
