#include "services/decoder/expert_home.h"

#include <algorithm>
#include <utility>

namespace conclave::decoder {

using std::chrono::steady_clock;

ShardExpectation ShardExpectation::Of(const engine::ExpertLayout& layout, std::string model_hash,
                                      int64_t message_bytes) {
  ShardExpectation expected{.model_hash = std::move(model_hash), .hidden = layout.hidden()};
  for (int64_t layer = 0; layer < layout.layers(); ++layer) expected.layers.push_back(layout.layer(layer));
  expected.answer_bytes = std::min(kExpertAnswerBytes, message_bytes / 2);
  return expected;
}

int64_t ShardExpectation::most_experts() const {
  int64_t most = 0;
  for (const engine::LayerExperts& layer : layers) most = std::max(most, layer.total());
  return most;
}

Status ExpertHome::Learn(const ShardExpectation& expected, std::chrono::system_clock::time_point deadline) {
  known_ = false;
  CONCLAVE_ASSIGN_OR_RETURN(const v1::ExpertsServiceDescribeResponse shard, link_->Describe(deadline));
  const int64_t experts = expected.most_experts();
  const bool fits = shard.model().model_hash() == expected.model_hash &&
                    shard.layers() == expected.layers.size() && shard.hidden_size() == expected.hidden &&
                    shard.total_slices() == experts;
  if (!fits) {
    return FailedPrecondition("expert shard at " + address() + " serves model " +
                              shard.model().model_hash().substr(0, 12) + " with " +
                              std::to_string(shard.total_slices()) + " experts; this decoder runs " +
                              expected.model_hash.substr(0, 12) + " with " + std::to_string(experts));
  }
  here_.assign(experts, false);
  for (const int64_t expert : shard.slices()) {
    if (expert >= experts) {
      return FailedPrecondition("expert shard at " + address() + " names expert " + std::to_string(expert) +
                                " of " + std::to_string(experts));
    }
    here_[expert] = true;
  }
  known_ = true;
  return Status::Ok();
}

void ExpertHome::Rest(Clock::time_point now) {
  rest_until_ = now + next_rest_;
  next_rest_ = std::min<Clock::duration>(2 * next_rest_, kLongestShardRest);
}

void ExpertHome::Give(std::vector<ExpertFrame> frames) {
  std::ranges::move(frames, std::back_inserter(frames_));
}

int64_t ExpertHome::open_rows() const {
  int64_t rows = 0;
  for (size_t i = answered_; i < frames_.size(); ++i) rows += frames_[i].rows;
  return rows;
}

Status ExpertHome::SendMore() {
  while (sent_ < frames_.size() && sent_ - answered_ < kMostFramesInFlight) {
    if (!waiting()) asked_ = steady_clock::now();
    CONCLAVE_RETURN_IF_ERROR(link_->Send(frames_[sent_].request));
    ++sent_;
  }
  return Status::Ok();
}

Status ExpertHome::TakeOne(int64_t hidden, float* outputs, Clock::time_point deadline) {
  const ExpertFrame& frame = frames_[answered_];
  CONCLAVE_RETURN_IF_ERROR(link_->Receive(answer_, deadline));
  CONCLAVE_RETURN_IF_ERROR(TakeAnswer(frame, answer_.output(), hidden, outputs));
  const auto now = steady_clock::now();
  usual_per_row_ += ((now - asked_) / std::max<int64_t>(frame.rows, 1) - usual_per_row_) / 8;
  asked_ = now;
  ++answered_;
  next_rest_ = kFirstShardRest;
  lost_ = false;
  return Status::Ok();
}

std::vector<WorkShare> ExpertHome::OpenWork() const {
  std::vector<WorkShare> open;
  for (size_t i = answered_; i < frames_.size(); ++i) {
    open.insert(open.end(), frames_[i].shares.begin(), frames_[i].shares.end());
  }
  return open;
}

ExpertHome::Clock::duration ExpertHome::Patience() const {
  if (usual_per_row_ == Clock::duration::zero()) return Clock::duration::max();
  return std::max<Clock::duration>(kLeastLateness, kLateTimes * open_rows() * usual_per_row_);
}

void ExpertHome::Fail(Clock::time_point now) {
  link_->Reset();
  Clear();
  known_ = false;
  lost_ = true;
  Rest(now);
}

void ExpertHome::Clear() {
  if (waiting()) link_->Reset();
  frames_.clear();
  sent_ = 0;
  answered_ = 0;
}

}  // namespace conclave::decoder
