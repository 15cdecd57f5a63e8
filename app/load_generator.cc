#include "app/load_generator.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <latch>
#include <mutex>
#include <optional>
#include <thread>

#include <grpcpp/grpcpp.h>

#include "app/bench_report.h"
#include "conclave/v1/router.grpc.pb.h"
#include "platform/rpc/status_mapping.h"

namespace conclave::app {
namespace {

/// What a running answer may say while the long prompt is computed.
constexpr int64_t kTokensBeside = 1024;

/// When an answer's tokens came.
struct Arrivals {
  BenchClock::time_point asked;
  std::vector<BenchClock::time_point> at;
  double decoder_prompt_s = 0.0;
};

using OnArrival = std::function<void(int64_t arrivals)>;

/// Asks for one completion and notes when its tokens come. `context` may be cancelled meanwhile.
Result<Arrivals> Ask(v1::RouterService::StubInterface& router, grpc::ClientContext& context, int64_t prompt,
                     int64_t tokens, int64_t seed, const OnArrival& on_arrival = {}) {
  v1::CompleteRequest request;
  const std::vector<int32_t> ids = BenchPrompt(prompt, kAnyVocabulary, seed);
  request.mutable_prompt_token_ids()->Add(ids.begin(), ids.end());
  v1::SamplingParams& sampling = *request.mutable_sampling();
  sampling.set_temperature(0.0);
  sampling.set_repetition_penalty(1.0);
  sampling.set_max_tokens(static_cast<uint32_t>(tokens));
  sampling.set_ignore_eos(true);
  Arrivals arrivals{.asked = BenchClock::now(), .at = {}};
  const auto reader = router.Complete(&context, request);
  v1::CompleteResponse response;
  while (reader->Read(&response)) {
    const double rate = response.finished().prompt_tokens_per_s();
    if (rate > 0.0) arrivals.decoder_prompt_s = static_cast<double>(prompt) / rate;
    if (!response.has_delta() || response.delta().token_ids().empty()) continue;
    arrivals.at.push_back(BenchClock::now());
    if (on_arrival) on_arrival(static_cast<int64_t>(arrivals.at.size()));
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return platform::FromGrpcStatus(status, &context);
  if (arrivals.at.empty()) return Internal("an answer came without any token");
  return arrivals;
}

double Seconds(BenchClock::time_point from, BenchClock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// Gaps between the arrivals that lie in [from, to].
void AddGaps(const std::vector<BenchClock::time_point>& at, BenchClock::time_point from,
             BenchClock::time_point to, std::vector<double>& gaps) {
  for (size_t i = 1; i < at.size(); ++i) {
    if (at[i - 1] >= from && at[i] <= to) gaps.push_back(Seconds(at[i - 1], at[i]));
  }
}

/// What the first of many threads to fail reports.
class FirstFailure {
 public:
  void Note(const Status& status) {
    std::lock_guard lock(mutex_);
    if (first_.ok()) first_ = status;
  }
  Status Get() const {
    std::lock_guard lock(mutex_);
    return first_;
  }

 private:
  mutable std::mutex mutex_;
  Status first_;  // guarded by mutex_
};

/// The answers that run beside a long prompt.
class RunningAnswers {
 public:
  RunningAnswers(v1::RouterService::StubInterface& router, const Load& load)
      : router_(router), load_(load), contexts_(load.streams), arrivals_(load.streams), ready_(load.streams) {
    for (int64_t i = 0; i < load.streams; ++i) threads_.emplace_back([this, i] { Run(i); });
  }
  ~RunningAnswers() { Stop(); }

  /// Until each has said load.tokens tokens, or failed.
  void WaitUntilReady() { ready_.wait(); }
  void Stop() {
    stopping_ = true;
    for (grpc::ClientContext& context : contexts_) context.TryCancel();
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

  /// After Stop.
  Status failure() const { return failure_.Get(); }
  const std::vector<std::vector<BenchClock::time_point>>& arrivals() const { return arrivals_; }

 private:
  void Run(int64_t index) {
    bool counted = false;
    const auto note = [&](int64_t count) {
      arrivals_[index].push_back(BenchClock::now());
      if (count >= load_.tokens && !std::exchange(counted, true)) ready_.count_down();
    };
    // The cache must have room for what may be said, so there is an end.
    const auto answer = Ask(router_, contexts_[index], load_.prompt, load_.tokens + kTokensBeside,
                            load_.first_seed + index, note);
    if (!answer.ok() && !stopping_) failure_.Note(answer.status());
    if (!counted) ready_.count_down();
  }

  v1::RouterService::StubInterface& router_;
  const Load load_;
  std::vector<grpc::ClientContext> contexts_;
  std::vector<std::vector<BenchClock::time_point>> arrivals_;
  std::latch ready_;
  std::atomic<bool> stopping_ = false;
  FirstFailure failure_;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<LoadTimes> RunLoad(const std::shared_ptr<grpc::Channel>& router, const Load& load) {
  const auto stub = v1::RouterService::NewStub(router);
  std::vector<std::vector<Arrivals>> seen(load.streams);
  FirstFailure failure;
  const auto start = BenchClock::now();
  {
    std::vector<std::jthread> clients;
    for (int64_t i = 0; i < load.streams; ++i) {
      clients.emplace_back([&, i] {
        for (int64_t round = 0; round < load.rounds; ++round) {
          grpc::ClientContext context;
          auto answer =
              Ask(*stub, context, load.prompt, load.tokens, load.first_seed + round * load.streams + i);
          if (!answer.ok()) return failure.Note(answer.status());
          seen[i].push_back(*std::move(answer));
        }
      });
    }
  }
  LoadTimes times{.total_s = SecondsSince(start)};
  CONCLAVE_RETURN_IF_ERROR(failure.Get());
  for (const std::vector<Arrivals>& answers : seen) {
    for (const Arrivals& answer : answers) {
      times.first_token_s.push_back(Seconds(answer.asked, answer.at.front()));
      times.decoder_prompt_s.push_back(answer.decoder_prompt_s);
      AddGaps(answer.at, answer.asked, BenchClock::time_point::max(), times.between_tokens_s);
    }
  }
  return times;
}

Result<BesideTimes> RunBesideLongPrompt(const std::shared_ptr<grpc::Channel>& router, const Load& load,
                                        int64_t long_prompt) {
  const auto stub = v1::RouterService::NewStub(router);
  RunningAnswers answers(*stub, load);
  const auto start = BenchClock::now();
  answers.WaitUntilReady();
  grpc::ClientContext context;
  const auto prompt = Ask(*stub, context, long_prompt, 1, load.first_seed + load.streams);
  answers.Stop();
  CONCLAVE_RETURN_IF_ERROR(answers.failure());
  CONCLAVE_RETURN_IF_ERROR(prompt.status());
  BesideTimes times{.idle_s = {}, .beside_s = {}, .prompt_s = Seconds(prompt->asked, prompt->at.front())};
  // Idle is when every answer runs and no prompt is computed any more.
  BenchClock::time_point all_run = start;
  for (const auto& at : answers.arrivals()) all_run = std::max(all_run, at.front());
  for (const auto& at : answers.arrivals()) {
    AddGaps(at, all_run, prompt->asked, times.idle_s);
    AddGaps(at, prompt->asked, prompt->at.front(), times.beside_s);
  }
  return times;
}

double Quantile(std::vector<double> numbers, double share) {
  if (numbers.empty()) return 0.0;
  std::sort(numbers.begin(), numbers.end());
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(numbers.size())));
  return numbers[std::clamp<size_t>(rank, 1, numbers.size()) - 1];
}

}  // namespace conclave::app
