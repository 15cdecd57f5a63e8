#include "services/decoder/remote_feed_forward.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "platform/log/log.h"

namespace conclave::decoder {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

/// How long one layer may take, with everything that is asked again.
constexpr milliseconds kLayerTimeout{5000};
/// A pause before a broken link is tried again.
constexpr milliseconds kRetryPause{20};

bool WorthAnotherTry(const Status& status) {
  return status.code() == StatusCode::kUnavailable || status.code() == StatusCode::kCancelled;
}

}  // namespace

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
    home.answered = 0;
    for (ExpertFrame& frame : home.frames) {
      frame.request.set_layer(static_cast<uint32_t>(layer));
      frame.request.set_model_hash(expected_.model_hash);
    }
  }
}

/// Asks every home for its next frame; the first failure is returned after all were heard.
Status RemoteFeedForward::AskOnce(system_clock::time_point deadline) {
  Status first;
  auto note = [&](Home& home, const Status& status) {
    if (status.ok()) return;
    home.link->Reset();
    if (first.ok()) first = status;
  };
  std::vector<Home*> asked;
  for (Home& home : homes_) {
    if (home.done()) continue;
    const Status sent = home.link->Send(home.frames[home.answered].request);
    note(home, sent);
    if (sent.ok()) asked.push_back(&home);
  }
  for (Home* home : asked) {
    const auto response = home->link->Receive(deadline);
    const ExpertFrame& frame = home->frames[home->answered];
    const Status taken = response.ok()
                             ? TakeAnswer(frame, response->output(), expected_.hidden, outputs_.data())
                             : response.status();
    note(*home, taken);
    if (taken.ok()) ++home->answered;
  }
  return first;
}

/// Until every frame is answered, again and again where a link breaks.
Status RemoteFeedForward::AskAll(system_clock::time_point deadline) {
  while (!std::ranges::all_of(homes_, &Home::done)) {
    const Status status = AskOnce(deadline);
    if (status.ok()) continue;
    if (!WorthAnotherTry(status) || system_clock::now() + kRetryPause >= deadline) return status;
    std::this_thread::sleep_for(kRetryPause);
  }
  return Status::Ok();
}

Status RemoteFeedForward::AddTo(int64_t layer, const engine::FeedForwardInput& input,
                                engine::ThreadPool& pool, float* residual) {
  const auto deadline = system_clock::now() + kLayerTimeout;
  if (!connected_) CONCLAVE_RETURN_IF_ERROR(Connect(deadline));
  MakeFrames(layer, input);
  const Status status = AskAll(deadline);
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
