#include "services/decoder/remote_feed_forward.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "platform/log/log.h"
#include "services/decoder/work_assignment.h"

namespace conclave::decoder {
namespace {

using std::chrono::steady_clock;
using std::chrono::system_clock;

/// The same moment on the clock of gRPC's deadlines.
system_clock::time_point OnSystemClock(steady_clock::time_point moment) {
  return system_clock::now() +
         std::chrono::duration_cast<system_clock::duration>(moment - steady_clock::now());
}

}  // namespace

RemoteFeedForward::RemoteFeedForward(std::vector<std::unique_ptr<ExpertLink>> links,
                                     ShardExpectation expected)
    : expected_(std::move(expected)) {
  for (auto& link : links) homes_.emplace_back(std::move(link));
}

bool RemoteFeedForward::EveryExpertLives() const {
  const int64_t experts = expected_.most_experts();
  for (int64_t expert = 0; expert < experts; ++expert) {
    if (std::ranges::none_of(homes_, [&](const ExpertHome& home) { return home.Has(expert); })) return false;
  }
  return true;
}

/// Asks the shards that are not known. Those that others stand in for can wait until they have rested, and
/// are not waited for.
void RemoteFeedForward::LearnDue(Pass& pass) {
  for (ExpertHome& home : homes_) {
    if (home.known()) continue;
    const auto now = steady_clock::now();
    const bool needed = !EveryExpertLives();
    if (!needed && home.resting(now)) continue;
    const auto patience = needed ? kShardIntroduction : kShardProbe;
    const Status learnt =
        home.Learn(expected_, OnSystemClock(std::min<Clock::time_point>(pass.deadline, now + patience)));
    if (learnt.ok()) {
      platform::Log(home.lost() ? platform::LogLevel::kInfo : platform::LogLevel::kDebug, "decoder",
                    "an expert shard is there", {{"address", home.address()}});
      continue;
    }
    home.Rest(now);
    if (needed) pass.failure = learnt;
    platform::LogDebug("decoder", "an expert shard is not there", {{"error", learnt.ToString()}});
  }
}

/// Gives all open work that can be done to shards; the rest stays open.
void RemoteFeedForward::Assign(Pass& pass) {
  const auto work = dispatch_.work();
  std::vector<std::vector<int32_t>> homes(work.size());
  std::vector<int64_t> busy;
  for (size_t i = 0; i < homes_.size(); ++i) {
    busy.push_back(homes_[i].open_rows());
    for (size_t index = 0; index < work.size(); ++index) {
      if (homes_[i].Has(work[index].expert)) homes[index].push_back(static_cast<int32_t>(i));
    }
  }
  WorkAssignment assigned = AssignWork(pass.open, homes, std::move(busy));
  pass.open = std::move(assigned.homeless);
  if (!pass.open.empty() && pass.failure.ok()) {
    pass.failure =
        Unavailable("feed-forward expert " + std::to_string(work[pass.open.front().work].expert) +
                    " of layer " + std::to_string(pass.layer) + " lives in no shard that can be reached");
  }
  const int64_t row_bytes = expected_.hidden * static_cast<int64_t>(sizeof(float));
  const int64_t most_rows = std::max<int64_t>(1, expected_.answer_bytes / row_bytes);
  for (size_t i = 0; i < homes_.size(); ++i) {
    auto frames = MakeFrames(pass.input, work, assigned.shares[i], expected_.hidden, most_rows);
    for (ExpertFrame& frame : frames) {
      frame.request.set_layer(static_cast<uint32_t>(pass.layer));
      frame.request.set_model_hash(expected_.model_hash);
    }
    homes_[i].Give(std::move(frames));
  }
}

bool RemoteFeedForward::Lives(const WorkShare& share, const ExpertHome* elsewhere_than) const {
  const int64_t expert = dispatch_.work()[share.work].expert;
  return std::ranges::any_of(
      homes_, [&](const ExpertHome& home) { return &home != elsewhere_than && home.Has(expert); });
}

/// Where all that a shard has open can be done elsewhere, it is not waited for much longer than usual; longer
/// with each shard that was late, since then the work itself may be long.
RemoteFeedForward::Clock::time_point RemoteFeedForward::DeadlineFor(const Pass& pass,
                                                                    const ExpertHome& home) const {
  const auto patience = home.Patience();
  const auto now = steady_clock::now();
  if (patience > expected_.layer_timeout) return pass.deadline;
  const bool elsewhere =
      std::ranges::all_of(home.OpenWork(), [&](const WorkShare& share) { return Lives(share, &home); });
  return elsewhere ? std::min(pass.deadline, now + patience * (1 + 2 * pass.late_shards)) : pass.deadline;
}

/// A shard that failed loses its work.
void RemoteFeedForward::Note(Pass& pass, ExpertHome& home, const Status& status) {
  if (status.ok()) return;
  const std::vector<WorkShare> open = home.OpenWork();
  pass.open.insert(pass.open.end(), open.begin(), open.end());
  pass.failure = status;
  if (status.code() == StatusCode::kDeadlineExceeded) ++pass.late_shards;
  home.Fail(steady_clock::now());
  platform::LogWarning("decoder", "an expert shard failed",
                       {{"layer", pass.layer}, {"error", status.ToString()}});
}

/// Sends every shard what it may have, and takes one answer of each.
void RemoteFeedForward::AskOnce(Pass& pass) {
  for (ExpertHome& home : homes_) Note(pass, home, home.SendMore());
  for (ExpertHome& home : homes_) {
    if (!home.waiting()) continue;
    Note(pass, home, home.TakeOne(expected_.hidden, outputs_.data(), DeadlineFor(pass, home)));
  }
}

/// Whether the open work may still be done: elsewhere, or by a shard that comes back.
bool RemoteFeedForward::WorthAnotherTry(const Pass& pass) const {
  if (steady_clock::now() + kLinkRetryPause >= pass.deadline) return false;
  switch (pass.failure.code()) {
    case StatusCode::kOk:
    case StatusCode::kUnavailable:
    case StatusCode::kCancelled:
    case StatusCode::kDataLoss:
    case StatusCode::kDeadlineExceeded: return true;
    case StatusCode::kInvalidArgument: return false;  // Every shard would say so.
    default:
      return std::ranges::all_of(pass.open, [&](const WorkShare& share) { return Lives(share, nullptr); });
  }
}

void RemoteFeedForward::Compute(Pass& pass) {
  const auto all_done = [&] { return std::ranges::all_of(homes_, &ExpertHome::done); };
  while (!pass.open.empty() || !all_done()) {
    if (!pass.open.empty()) {
      if (!WorthAnotherTry(pass)) return;
      LearnDue(pass);
      Assign(pass);
    }
    if (all_done()) {
      std::this_thread::sleep_for(kLinkRetryPause);
    } else {
      AskOnce(pass);
    }
  }
  pass.failure = Status::Ok();
}

/// What the requests of the step are told: the deadline was this layer's and not the client's, and what was
/// lost on the way is worth another request.
Status RemoteFeedForward::Reported(const Pass& pass) {
  platform::LogWarning("decoder", "a feed-forward layer could not be computed",
                       {{"layer", pass.layer}, {"error", pass.failure.ToString()}});
  switch (pass.failure.code()) {
    case StatusCode::kCancelled:
    case StatusCode::kDataLoss:
    case StatusCode::kDeadlineExceeded: return Unavailable(pass.failure.message());
    default: return pass.failure;
  }
}

Status RemoteFeedForward::AddTo(int64_t layer, const engine::FeedForwardInput& input,
                                engine::ThreadPool& pool, float* residual) {
  dispatch_.Plan(expected_.layers[layer], input.tokens, input.routing);
  const auto count = static_cast<size_t>(dispatch_.rows() * expected_.hidden);
  if (outputs_.size() < count) outputs_.resize(count);
  Pass pass{.layer = layer, .input = input, .deadline = steady_clock::now() + expected_.layer_timeout};
  for (const engine::ExpertWork& work : dispatch_.work()) {
    pass.open.push_back({.work = static_cast<int32_t>(pass.open.size()), .begin = 0, .end = work.tokens});
  }
  pool.Rest();
  Compute(pass);
  for (ExpertHome& home : homes_) home.Clear();
  if (!pass.failure.ok()) return Reported(pass);
  dispatch_.AddTo(outputs_.data(), expected_.hidden, pool, residual);
  return Status::Ok();
}

}  // namespace conclave::decoder
