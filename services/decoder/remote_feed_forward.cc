#include "services/decoder/remote_feed_forward.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "platform/log/log.h"

namespace conclave::decoder {
namespace {

using std::chrono::steady_clock;
using std::chrono::system_clock;

bool WorthAnotherTry(const Status& status) {
  return status.code() == StatusCode::kUnavailable || status.code() == StatusCode::kCancelled ||
         status.code() == StatusCode::kDataLoss;
}

}  // namespace

RemoteFeedForward::Expectation RemoteFeedForward::Expectation::Of(const engine::ExpertLayout& layout,
                                                                  std::string model_hash,
                                                                  int64_t message_bytes) {
  Expectation expected{.model_hash = std::move(model_hash), .hidden = layout.hidden()};
  for (int64_t layer = 0; layer < layout.layers(); ++layer) expected.layers.push_back(layout.layer(layer));
  expected.answer_bytes = std::min(kExpertAnswerBytes, message_bytes / 2);
  return expected;
}

RemoteFeedForward::RemoteFeedForward(std::vector<std::unique_ptr<ExpertLink>> links, Expectation expected)
    : expected_(std::move(expected)) {
  for (auto& link : links) homes_.push_back({.link = std::move(link)});
  for (const engine::LayerExperts& layer : expected_.layers) {
    most_experts_ = std::max(most_experts_, layer.total());
  }
}

Status RemoteFeedForward::Learn(Home& home, system_clock::time_point deadline) {
  CONCLAVE_ASSIGN_OR_RETURN(const v1::ExpertsServiceDescribeResponse shard, home.link->Describe(deadline));
  const bool fits = shard.model().model_hash() == expected_.model_hash &&
                    shard.layers() == expected_.layers.size() && shard.hidden_size() == expected_.hidden &&
                    shard.total_slices() == most_experts_;
  if (!fits) {
    return FailedPrecondition("expert shard at " + home.link->address() + " serves model " +
                              shard.model().model_hash().substr(0, 12) + " with " +
                              std::to_string(shard.total_slices()) + " experts; this decoder runs " +
                              expected_.model_hash.substr(0, 12) + " with " + std::to_string(most_experts_));
  }
  home.here.assign(most_experts_, false);
  for (const int64_t expert : shard.slices()) {
    if (expert >= most_experts_) {
      return FailedPrecondition("expert shard at " + home.link->address() + " names expert " +
                                std::to_string(expert) + " of " + std::to_string(most_experts_));
    }
    home.here[expert] = true;
  }
  return Status::Ok();
}

Status RemoteFeedForward::Connect(system_clock::time_point deadline) {
  for (Home& home : homes_) CONCLAVE_RETURN_IF_ERROR(Learn(home, deadline));
  for (int64_t expert = 0; expert < most_experts_; ++expert) {
    const auto owners = std::ranges::count_if(homes_, [&](const Home& home) { return home.here[expert]; });
    if (owners == 1) continue;
    return Unavailable("feed-forward expert " + std::to_string(expert) + " lives in " +
                       std::to_string(owners) + " shards; each must live in exactly one");
  }
  connected_ = true;
  return Status::Ok();
}

void RemoteFeedForward::MakeFrames(int64_t layer, const engine::FeedForwardInput& input) {
  dispatch_.Plan(expected_.layers[layer], input.tokens, input.routing);
  const auto count = static_cast<size_t>(dispatch_.rows() * expected_.hidden);
  if (outputs_.size() < count) outputs_.resize(count);
  const int64_t row_bytes = expected_.hidden * static_cast<int64_t>(sizeof(float));
  const int64_t most_rows = std::max<int64_t>(1, expected_.answer_bytes / row_bytes);
  for (Home& home : homes_) {
    home.frames = decoder::MakeFrames(input, dispatch_.work(), home.here, expected_.hidden, most_rows);
    home.sent = 0;
    home.answered = 0;
    for (ExpertFrame& frame : home.frames) {
      frame.request.set_layer(static_cast<uint32_t>(layer));
      frame.request.set_model_hash(expected_.model_hash);
    }
  }
}

Status RemoteFeedForward::SendMore(Home& home) {
  while (home.sent < home.frames.size() && home.sent - home.answered < kMostFramesInFlight) {
    CONCLAVE_RETURN_IF_ERROR(home.link->Send(home.frames[home.sent].request));
    ++home.sent;
  }
  return Status::Ok();
}

Status RemoteFeedForward::TakeOne(Home& home, steady_clock::time_point deadline) {
  CONCLAVE_RETURN_IF_ERROR(home.link->Receive(answer_, deadline));
  CONCLAVE_RETURN_IF_ERROR(
      TakeAnswer(home.frames[home.answered], answer_.output(), expected_.hidden, outputs_.data()));
  ++home.answered;
  return Status::Ok();
}

/// Sends every home what it may have, and takes one answer of each; the first failure is returned after all
/// were heard.
Status RemoteFeedForward::AskOnce(steady_clock::time_point deadline) {
  Status first;
  const auto note = [&](Home& home, const Status& status) {
    if (status.ok()) return;
    home.link->Reset();
    home.sent = home.answered;
    if (first.ok()) first = status;
  };
  for (Home& home : homes_) note(home, SendMore(home));
  for (Home& home : homes_) {
    if (home.sent > home.answered) note(home, TakeOne(home, deadline));
  }
  return first;
}

/// Until every frame is answered, again and again where a link breaks.
Status RemoteFeedForward::AskAll(steady_clock::time_point deadline) {
  while (!std::ranges::all_of(homes_, &Home::done)) {
    const Status status = AskOnce(deadline);
    if (status.ok()) continue;
    if (!WorthAnotherTry(status) || steady_clock::now() + kLinkRetryPause >= deadline) return status;
    std::this_thread::sleep_for(kLinkRetryPause);
  }
  return Status::Ok();
}

Status RemoteFeedForward::AddTo(int64_t layer, const engine::FeedForwardInput& input,
                                engine::ThreadPool& pool, float* residual) {
  if (!connected_) CONCLAVE_RETURN_IF_ERROR(Connect(system_clock::now() + kLayerTimeout));
  MakeFrames(layer, input);
  pool.Rest();
  const Status status = AskAll(steady_clock::now() + kLayerTimeout);
  if (!status.ok()) {
    platform::LogWarning("decoder", "a feed-forward layer could not be computed",
                         {{"layer", layer}, {"error", status.ToString()}});
    connected_ = false;
    // The deadline was this layer's and not the client's.
    const bool silent = status.code() == StatusCode::kDeadlineExceeded;
    return silent || WorthAnotherTry(status) ? Unavailable(status.message()) : status;
  }
  dispatch_.AddTo(outputs_.data(), expected_.hidden, pool, residual);
  return Status::Ok();
}

}  // namespace conclave::decoder
