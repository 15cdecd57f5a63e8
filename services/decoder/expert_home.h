#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/model/expert_layout.h"
#include "services/decoder/expert_frame.h"
#include "services/decoder/expert_link.h"
#include "services/decoder/limits.h"

namespace conclave::decoder {

/// What the shards must agree on with a decoder.
struct ShardExpectation {
  std::string model_hash;
  int64_t hidden = 0;
  std::vector<engine::LayerExperts> layers;
  /// The most that a shard's answer to one frame may have.
  int64_t answer_bytes = kExpertAnswerBytes;
  /// How long one layer may take, with everything that is asked again.
  std::chrono::milliseconds layer_timeout = kLayerTimeout;

  /// For a model; answers take at most half of a gRPC message.
  static ShardExpectation Of(const engine::ExpertLayout& layout, std::string model_hash,
                             int64_t message_bytes);
  /// Of a layer.
  int64_t most_experts() const;
};

/// A shard as the decoder knows it: which experts live there, the frames that it was given, and when it is
/// worth another try after it failed. Used by one thread.
class ExpertHome {
 public:
  using Clock = std::chrono::steady_clock;

  explicit ExpertHome(std::unique_ptr<ExpertLink> link) : link_(std::move(link)) {}

  const std::string& address() const { return link_->address(); }

  /// Asks what lives there. Errors: UNAVAILABLE or DEADLINE_EXCEEDED, FAILED_PRECONDITION (another model, or
  /// experts that there are not).
  Status Learn(const ShardExpectation& expected, std::chrono::system_clock::time_point deadline);
  /// It said what lives there, and has not failed since.
  bool known() const { return known_; }
  /// It failed, and has not answered since.
  bool lost() const { return lost_; }
  bool Has(int64_t expert) const { return known_ && here_[expert]; }
  /// After a failure: a while, longer each time, until something was answered.
  bool resting(Clock::time_point now) const { return now < rest_until_; }
  void Rest(Clock::time_point now);

  /// Adds to what it is to compute.
  void Give(std::vector<ExpertFrame> frames);
  /// Rows that it was given and has not answered.
  int64_t open_rows() const;
  bool done() const { return answered_ == frames_.size(); }
  bool waiting() const { return sent_ > answered_; }

  /// Sends what may be on its way at once. Errors: UNAVAILABLE.
  Status SendMore();
  /// Takes one answer in. Errors: as ExpertLink, INTERNAL (an answer of another shape).
  Status TakeOne(int64_t hidden, float* outputs, Clock::time_point deadline);
  /// The work of frames without an answer.
  std::vector<WorkShare> OpenWork() const;
  /// How long the open work may take before another shard would be faster; max() before anything was
  /// answered.
  Clock::duration Patience() const;
  /// Forgets the frames, and with them the connection on which answers may still come; what lives there must
  /// be learnt anew.
  void Fail(Clock::time_point now);
  /// Forgets the frames; the connection too where answers may still come.
  void Clear();

 private:
  std::unique_ptr<ExpertLink> link_;
  bool known_ = false;
  bool lost_ = false;
  std::vector<bool> here_;  ///< by expert
  std::vector<ExpertFrame> frames_;
  size_t sent_ = 0;  ///< of the frames
  size_t answered_ = 0;
  v1::ExchangeResponse answer_;
  Clock::time_point asked_{};         ///< since when the oldest frame without an answer has been on its way
  Clock::duration usual_per_row_{0};  ///< of frames, from sending to the answer
  Clock::time_point rest_until_{};
  Clock::duration next_rest_ = kFirstShardRest;
};

}  // namespace conclave::decoder
