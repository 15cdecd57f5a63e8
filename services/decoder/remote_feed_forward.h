#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/model/feed_forward.h"
#include "services/decoder/expert_link.h"

namespace conclave::decoder {

/// Feed-forward layers that live in other processes. The links are asked one by one but answer side by side;
/// a layer is asked for again when a link broke, until the step's deadline, because a layer can be computed
/// any number of times. Used by one thread at a time.
class RemoteFeedForward final : public engine::FeedForward {
 public:
  /// What the shards must agree on with this decoder.
  struct Expectation {
    std::string model_hash;
    int64_t layers = 0;
    int64_t hidden = 0;
    int64_t slices = 0;
  };

  RemoteFeedForward(std::vector<std::unique_ptr<ExpertLink>> links, Expectation expected);

  /// Asks every shard what lives there. Until this succeeded, AddTo does it first.
  /// Errors: UNAVAILABLE (a shard cannot be reached, or a slice has no home), FAILED_PRECONDITION (another
  /// model).
  Status Connect(std::chrono::system_clock::time_point deadline);

  Status AddTo(int64_t layer, const engine::FeedForwardInput& input, engine::ThreadPool& pool,
               float* residual) override;

 private:
  struct Home {
    std::unique_ptr<ExpertLink> link;
    std::vector<int64_t> slices;
    bool answered = false;
  };

  Status Learn(Home& home, std::chrono::system_clock::time_point deadline);
  Status AskOnce(const v1::ExchangeRequest& request, int64_t tokens,
                 std::chrono::system_clock::time_point deadline);
  Status Take(Home& home, const v1::ExchangeResponse& response, int64_t tokens);

  std::vector<Home> homes_;
  Expectation expected_;
  bool connected_ = false;
  std::vector<float> outputs_;  ///< [slices, tokens, hidden]
  std::vector<float> received_;
};

}  // namespace conclave::decoder
