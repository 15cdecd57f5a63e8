#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/model/expert_dispatch.h"
#include "engine/model/feed_forward.h"
#include "services/decoder/expert_frame.h"
#include "services/decoder/expert_link.h"
#include "services/decoder/limits.h"

namespace conclave::decoder {

/// Feed-forward layers whose experts live in other processes. All links are asked before the first answer is
/// waited for; frames are sent again when a link broke, until the layer's deadline, because they can be
/// computed any number of times. Used by one thread at a time.
class RemoteFeedForward final : public engine::FeedForward {
 public:
  /// What the shards must agree on with this decoder.
  struct Expectation {
    std::string model_hash;
    int64_t hidden = 0;
    std::vector<engine::LayerExperts> layers;
    /// The most that a shard's answer to one frame may have.
    int64_t answer_bytes = kExpertAnswerBytes;

    /// For a model; answers take at most half of a gRPC message.
    static Expectation Of(const engine::ExpertLayout& layout, std::string model_hash, int64_t message_bytes);
  };

  RemoteFeedForward(std::vector<std::unique_ptr<ExpertLink>> links, Expectation expected);

  /// Asks every shard what lives there. Until this succeeded, AddTo does it first.
  /// Errors: UNAVAILABLE (a shard cannot be reached, or an expert has no home), FAILED_PRECONDITION (another
  /// model).
  Status Connect(std::chrono::system_clock::time_point deadline);

  Status AddTo(int64_t layer, const engine::FeedForwardInput& input, engine::ThreadPool& pool,
               float* residual) override;

 private:
  struct Home {
    std::unique_ptr<ExpertLink> link;
    std::vector<bool> here;           ///< by expert
    std::vector<ExpertFrame> frames;  ///< of the layer that runs
    size_t sent = 0;                  ///< how many of them
    size_t answered = 0;

    bool done() const { return answered == frames.size(); }
  };

  Status Learn(Home& home, std::chrono::system_clock::time_point deadline);
  void MakeFrames(int64_t layer, const engine::FeedForwardInput& input);
  Status SendMore(Home& home);
  Status TakeOne(Home& home, std::chrono::steady_clock::time_point deadline);
  Status AskOnce(std::chrono::steady_clock::time_point deadline);
  Status AskAll(std::chrono::steady_clock::time_point deadline);

  std::vector<Home> homes_;
  Expectation expected_;
  int64_t most_experts_ = 0;  ///< of a layer
  bool connected_ = false;
  engine::ExpertDispatch dispatch_;
  v1::ExchangeResponse answer_;
  std::vector<float> outputs_;  ///< [rows of the dispatch, hidden]
};

}  // namespace conclave::decoder
