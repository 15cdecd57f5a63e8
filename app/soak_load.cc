#include "app/soak_load.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "app/bench_report.h"
#include "conclave/v1/router.grpc.pb.h"
#include "platform/rpc/status_mapping.h"

namespace conclave::app {
namespace {

constexpr int64_t kSharedPrefixes = 8;
constexpr int64_t kSharedPrefixTokens = 64;
constexpr int64_t kSessions = 32;
constexpr int64_t kBeyondEveryContext = 1 << 18;

enum class Kind { kComplete, kCancelAtOnce, kCancelLater, kChat, kSession, kNoSuchToken, kTooLong };

/// Of a hundred requests.
Kind KindOf(int64_t percent) {
  if (percent < 8) return Kind::kCancelAtOnce;
  if (percent < 16) return Kind::kCancelLater;
  if (percent < 26) return Kind::kChat;
  if (percent < 31) return Kind::kSession;
  if (percent < 33) return Kind::kNoSuchToken;
  if (percent == 33) return Kind::kTooLong;
  return Kind::kComplete;
}

/// The numbers that make one request.
class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}
  /// A whole number from `least` to `most`.
  int64_t Roll(int64_t least, int64_t most) {
    return least + static_cast<int64_t>(random_() % static_cast<uint64_t>(most - least + 1));
  }

 private:
  std::mt19937_64 random_;
};

void AddTokens(Dice& dice, int64_t count, v1::CompleteRequest& request) {
  for (int64_t i = 0; i < count; ++i)
    request.add_prompt_token_ids(static_cast<int32_t>(dice.Roll(0, kAnyVocabulary - 1)));
}

/// Most prompts are short, a few are longer than a step.
int64_t PromptTokens(Dice& dice) {
  const int64_t percent = dice.Roll(0, 99);
  if (percent < 80) return dice.Roll(1, 32);
  return percent < 95 ? dice.Roll(32, 128) : dice.Roll(128, 384);
}

void SetSampling(Dice& dice, v1::SamplingParams& sampling) {
  sampling.set_max_tokens(static_cast<uint32_t>(dice.Roll(1, 8)));
  sampling.set_temperature(dice.Roll(0, 1) == 0 ? 0.0 : 1.0);
  sampling.set_seed(static_cast<uint64_t>(dice.Roll(0, 1 << 30)));
  sampling.set_ignore_eos(true);
}

v1::CompleteRequest MakeCompletion(Dice& dice, Kind kind) {
  v1::CompleteRequest request;
  SetSampling(dice, *request.mutable_sampling());
  if (kind == Kind::kTooLong) {
    AddTokens(dice, kBeyondEveryContext, request);
    return request;
  }
  if (dice.Roll(0, 1) == 0) {
    Dice shared(static_cast<uint64_t>(dice.Roll(1, kSharedPrefixes)));
    AddTokens(shared, kSharedPrefixTokens, request);
  }
  AddTokens(dice, PromptTokens(dice), request);
  if (kind == Kind::kNoSuchToken) request.add_prompt_token_ids(-1);
  if (kind == Kind::kCancelLater) request.mutable_sampling()->set_max_tokens(64);
  return request;
}

v1::ChatRequest MakeChat(Dice& dice, Kind kind, uint64_t seed) {
  v1::ChatRequest request;
  SetSampling(dice, *request.mutable_sampling());
  v1::ChatMessage& message = *request.add_messages();
  message.set_role(v1::ROLE_USER);
  message.set_content("What is " + std::to_string(dice.Roll(0, 1 << 20)) + " times " +
                      std::to_string(dice.Roll(0, 1 << 20)) + "?");
  // Conversations are begun again before they outgrow a context.
  if (kind == Kind::kSession) {
    request.set_session_id("soak-" + std::to_string(seed >> 10) + "-" +
                           std::to_string(dice.Roll(1, kSessions)));
  }
  return request;
}

/// Reads an answer, cancelling it after `most` messages with tokens; how many tokens came.
template <typename Response>
int64_t ReadAnswer(grpc::ClientContext& context, grpc::ClientReaderInterface<Response>& reader,
                   int64_t most) {
  int64_t tokens = 0;
  int64_t messages = 0;
  for (Response response; reader.Read(&response);) {
    if (!response.has_delta()) continue;
    tokens += response.delta().token_ids_size();
    if (++messages == most) context.TryCancel();
  }
  return tokens;
}

bool IsCancelling(Kind kind) { return kind == Kind::kCancelAtOnce || kind == Kind::kCancelLater; }

/// Whether a request of this kind may end so.
bool Expected(Kind kind, const grpc::Status& status) {
  switch (kind) {
    case Kind::kNoSuchToken: return status.error_code() == grpc::StatusCode::INVALID_ARGUMENT;
    case Kind::kTooLong:
      return status.error_code() == grpc::StatusCode::OUT_OF_RANGE ||
             status.error_code() == grpc::StatusCode::INVALID_ARGUMENT;
    case Kind::kCancelAtOnce:
    case Kind::kCancelLater: return status.ok() || status.error_code() == grpc::StatusCode::CANCELLED;
    // Two turns of one conversation at once: one of them is told so.
    case Kind::kSession: return status.ok() || status.error_code() == grpc::StatusCode::ABORTED;
    default: return status.ok();
  }
}

/// Sends request `index` and counts how it ended.
Status SendOne(v1::RouterService::StubInterface& router, const SoakLoad& load, int64_t index,
               SoakCounts& counts) {
  Dice dice(load.seed * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(index));
  const Kind kind = KindOf(dice.Roll(0, 99));
  grpc::ClientContext context;
  grpc::Status status;
  int64_t tokens = 0;
  if (kind == Kind::kChat || kind == Kind::kSession) {
    const auto reader = router.Chat(&context, MakeChat(dice, kind, static_cast<uint64_t>(index)));
    tokens = ReadAnswer(context, *reader, 0);
    status = reader->Finish();
  } else {
    const auto reader = router.Complete(&context, MakeCompletion(dice, kind));
    if (kind == Kind::kCancelAtOnce) context.TryCancel();
    tokens = ReadAnswer(context, *reader, kind == Kind::kCancelLater ? dice.Roll(1, 8) : 0);
    status = reader->Finish();
  }
  if (!Expected(kind, status)) {
    const Status failure = status.ok() ? Internal("a request that cannot be answered was answered")
                                       : platform::FromGrpcStatus(status, &context);
    return failure.Annotate("request " + std::to_string(index));
  }
  counts.tokens += tokens;
  if (IsCancelling(kind)) {
    ++counts.cancelled;
  } else {
    ++(status.ok() ? counts.answered : counts.refused);
  }
  return Status::Ok();
}

/// What the streams share.
struct Shared {
  std::atomic<int64_t> next = 0;
  std::mutex mutex;
  SoakCounts counts;  // guarded by mutex
  Status failure;     // guarded by mutex
};

}  // namespace

Result<SoakCounts> RunSoak(const std::shared_ptr<grpc::Channel>& router, const SoakLoad& load,
                           const std::function<void(const SoakCounts&)>& progress) {
  const auto stub = v1::RouterService::NewStub(router);
  Shared shared;
  const auto run = [&] {
    for (int64_t index = shared.next++; index < load.requests; index = shared.next++) {
      SoakCounts one;
      const Status status = SendOne(*stub, load, index, one);
      std::lock_guard lock(shared.mutex);
      if (!status.ok() && shared.failure.ok()) shared.failure = status;
      if (!shared.failure.ok()) return;
      shared.counts.answered += one.answered;
      shared.counts.cancelled += one.cancelled;
      shared.counts.refused += one.refused;
      shared.counts.tokens += one.tokens;
      progress(shared.counts);
    }
  };
  {
    std::vector<std::jthread> streams;
    for (int64_t i = 0; i < load.streams; ++i) streams.emplace_back(run);
  }
  CONCLAVE_RETURN_IF_ERROR(shared.failure);
  return shared.counts;
}

}  // namespace conclave::app
