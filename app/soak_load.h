#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <grpcpp/channel.h>

#include "base/result.h"

namespace conclave::app {

/// Many short requests of every kind that a router gets, `streams` at a time. Which ones follows from `seed`.
struct SoakLoad {
  int64_t requests = 10'000;
  int64_t streams = 16;
  uint64_t seed = 1;
};

/// How the requests ended.
struct SoakCounts {
  int64_t answered = 0;
  int64_t cancelled = 0;  ///< by the client, at once or after some tokens
  int64_t refused = 0;    ///< as they should be: a token that does not exist, a prompt beyond the context
  int64_t tokens = 0;     ///< that came with answers
  int64_t ended() const { return answered + cancelled + refused; }
};

/// Sends the load and waits for its end; one thread a stream. `progress` is called from these threads, one at
/// a time, after each request. Errors: the first answer that no request of this load should get.
Result<SoakCounts> RunSoak(const std::shared_ptr<grpc::Channel>& router, const SoakLoad& load,
                           const std::function<void(const SoakCounts&)>& progress);

}  // namespace conclave::app
