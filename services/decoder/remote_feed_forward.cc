#include "services/decoder/remote_feed_forward.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "platform/log/log.h"
#include "services/decoder/expert_frame.h"

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
  for (auto& link : links) homes_.push_back({.link = std::move(link), .slices = {}});
}

Status RemoteFeedForward::Learn(Home& home, system_clock::time_point deadline) {
  CONCLAVE_ASSIGN_OR_RETURN(const v1::ExpertsServiceDescribeResponse shard, home.link->Describe(deadline));
  const bool fits = shard.model().model_hash() == expected_.model_hash &&
                    shard.layers() == expected_.layers && shard.hidden_size() == expected_.hidden &&
                    shard.total_slices() == expected_.slices;
  if (!fits) {
    return FailedPrecondition("expert shard at " + home.link->address() + " serves model " +
                              shard.model().model_hash().substr(0, 12) + " with " +
                              std::to_string(shard.total_slices()) + " slices; this decoder runs " +
                              expected_.model_hash.substr(0, 12) + " with " +
                              std::to_string(expected_.slices));
  }
  home.slices.assign(shard.slices().begin(), shard.slices().end());
  for (const int64_t slice : home.slices) {
    if (slice >= expected_.slices) {
      return FailedPrecondition("expert shard at " + home.link->address() + " names slice " +
                                std::to_string(slice) + " of " + std::to_string(expected_.slices));
    }
  }
  return Status::Ok();
}

Status RemoteFeedForward::Connect(system_clock::time_point deadline) {
  std::vector<int> owners(expected_.slices, 0);
  for (Home& home : homes_) {
    CONCLAVE_RETURN_IF_ERROR(Learn(home, deadline));
    for (const int64_t slice : home.slices) ++owners[slice];
  }
  for (int64_t slice = 0; slice < expected_.slices; ++slice) {
    if (owners[slice] == 1) continue;
    return Unavailable("feed-forward slice " + std::to_string(slice) + " lives in " +
                       std::to_string(owners[slice]) + " shards; each must live in exactly one");
  }
  connected_ = true;
  return Status::Ok();
}

Status RemoteFeedForward::Take(Home& home, const v1::ExchangeResponse& response, int64_t tokens) {
  const auto count = static_cast<int64_t>(home.slices.size());
  const int64_t size = tokens * expected_.hidden;
  if (received_.size() < static_cast<size_t>(count * size)) received_.resize(count * size);
  CONCLAVE_RETURN_IF_ERROR(
      OutputFromWire(response.output(), count, tokens, expected_.hidden, received_.data()));
  for (int64_t i = 0; i < count; ++i) {
    std::copy_n(received_.data() + i * size, size, outputs_.data() + home.slices[i] * size);
  }
  home.answered = true;
  return Status::Ok();
}

/// Asks every home that has not answered yet; the first failure is returned after all were heard.
Status RemoteFeedForward::AskOnce(const v1::ExchangeRequest& request, int64_t tokens,
                                  system_clock::time_point deadline) {
  Status first;
  auto note = [&](Home& home, const Status& status) {
    if (status.ok()) return;
    home.link->Reset();
    if (first.ok()) first = status;
  };
  std::vector<Home*> asked;
  for (Home& home : homes_) {
    if (home.answered) continue;
    const Status sent = home.link->Send(request);
    note(home, sent);
    if (sent.ok()) asked.push_back(&home);
  }
  for (Home* home : asked) {
    auto response = home->link->Receive(deadline);
    note(*home, response.ok() ? Take(*home, *response, tokens) : response.status());
  }
  return first;
}

Status RemoteFeedForward::AddTo(int64_t layer, const engine::FeedForwardInput& input,
                                engine::ThreadPool& pool, float* residual) {
  const auto deadline = system_clock::now() + kLayerTimeout;
  if (!connected_) CONCLAVE_RETURN_IF_ERROR(Connect(deadline));
  const int64_t count = expected_.slices * input.tokens * expected_.hidden;
  if (outputs_.size() < static_cast<size_t>(count)) outputs_.resize(count);
  v1::ExchangeRequest request;
  request.set_layer(static_cast<uint32_t>(layer));
  request.set_model_hash(expected_.model_hash);
  *request.mutable_input() = InputToWire(input, expected_.hidden);
  for (Home& home : homes_) home.answered = false;

  Status status = AskOnce(request, input.tokens, deadline);
  while (!status.ok() && WorthAnotherTry(status) && system_clock::now() + kRetryPause < deadline) {
    std::this_thread::sleep_for(kRetryPause);
    status = AskOnce(request, input.tokens, deadline);
  }
  if (!status.ok()) {
    platform::LogWarning("decoder", "a feed-forward layer could not be computed",
                         {{"layer", layer}, {"error", status.ToString()}});
    connected_ = false;
    // The deadline was this layer's and not the client's.
    const bool silent = status.code() == StatusCode::kDeadlineExceeded;
    return silent || WorthAnotherTry(status) ? Unavailable(status.message()) : status;
  }
  engine::AddSlices(outputs_.data(), expected_.slices, input.tokens, expected_.hidden, pool, residual);
  return Status::Ok();
}

}  // namespace conclave::decoder
