#include <map>
#include <random>

#include <gtest/gtest.h>

#include "tests/unit/decoder/scheduler_fixture.h"
#include "tests/unit/decoder/small_decoder.h"

namespace conclave::decoder {
namespace {

constexpr int64_t kRequests = 2000;

/// How the same requests are served.
struct Serving {
  const char* name;
  int64_t running_sequences;
  int64_t step_tokens;
  int64_t kv_blocks;
  int64_t prefix_blocks;
  int64_t draft_tokens;
  bool disk = false;
  engine::KvFormat kv_format = engine::KvFormat::kBrainPairs;
};

constexpr Serving kAlone{"alone", 1, 1000, 14, 0, 0};

/// What a decoder answered: tokens and log-probabilities by sequence.
struct Answers {
  std::map<uint64_t, std::vector<std::pair<int32_t, float>>> made;
  SchedulerStatus status;
};

/// Prompts that often begin alike and repeat themselves; every other one is answered greedily.
SequenceRequest RandomRequest(std::shared_ptr<EventSink> sink, uint64_t id, std::mt19937& random) {
  const int64_t prompt_tokens = 1 + random() % 100;
  const int64_t max_tokens = 1 + random() % 30;
  SequenceRequest request = Request(std::move(sink), id, prompt_tokens, max_tokens);
  const auto family = static_cast<int32_t>(random() % 3);
  for (int32_t& token : request.prompt) token = (token * 5 + family) % 48;
  if (random() % 2 == 0)
    request.prompt[random() % request.prompt.size()] = static_cast<int32_t>(random() % 48);
  request.tenant = std::string(1, static_cast<char>('a' + random() % 2));
  request.sampling.seed = random();
  request.sampling.temperature = random() % 2 == 0 ? 0.0 : 0.8;
  request.sampling.repetition_penalty = random() % 4 == 0 ? 1.1 : 1.0;
  request.sampling.logprobs = 1;
  request.end_tokens = {static_cast<int32_t>(random() % 48)};
  return request;
}

/// Requests come, steps are made and requests are cancelled at random moments, other ones in every way of
/// serving.
Answers AnswersOf(const Serving& serving) {
  const std::string model = SmallLlama(MatrixType::kQ8_0).Bytes();
  const int64_t block_bytes =
      SmallDecoder({}, model, 1, nullptr, serving.kv_format).kv->layout().block_bytes();
  const conclave::testing::TemporaryFolder folder;
  std::shared_ptr<KvDiskTier> disk;
  if (serving.disk) {
    disk = *KvDiskTier::Start(*KvDiskStore::Open(folder.path(), {.bytes = 64 << 20, .entries = 1000}));
  }
  SmallDecoder decoder({.running_sequences = serving.running_sequences,
                        .step_tokens = serving.step_tokens,
                        .prefix_cache_bytes = serving.prefix_blocks * block_bytes,
                        .draft_tokens = serving.draft_tokens},
                       model, serving.kv_blocks, disk, serving.kv_format);
  EXPECT_EQ(decoder.kv->layout().format, serving.kv_format);
  auto sink = std::make_shared<CollectingSink>();
  std::mt19937 asked(77);
  std::mt19937 load(static_cast<uint32_t>(serving.step_tokens + serving.draft_tokens));
  for (int64_t i = 0; i < kRequests; ++i) {
    EXPECT_TRUE(decoder.scheduler->Admit(RandomRequest(sink, static_cast<uint64_t>(i), asked)).ok());
    if (load() % 3 == 0) decoder.runner->RunStep(*decoder.scheduler);
    if (load() % 20 == 0) decoder.scheduler->Cancel(sink.get(), load() % (i + 1));
    while (decoder.scheduler->Snapshot().queued > 8) decoder.runner->RunStep(*decoder.scheduler);
  }
  while (decoder.scheduler->HasWork()) decoder.runner->RunStep(*decoder.scheduler);
  Answers answers{.made = {}, .status = decoder.scheduler->Snapshot()};
  for (const auto& events : sink->deliveries) {
    for (const SequenceEvent& event : events) {
      for (const auto& token : event.tokens) {
        answers.made[event.sequence_id].emplace_back(token.token_id, token.logprob);
      }
    }
  }
  return answers;
}

class IdentityTest : public ::testing::TestWithParam<Serving> {
 protected:
  static const Answers& Alone(engine::KvFormat kv_format) {
    static std::map<engine::KvFormat, Answers> answers;
    if (!answers.contains(kv_format)) {
      Serving serving = kAlone;
      serving.kv_format = kv_format;
      answers.emplace(kv_format, AnswersOf(serving));
    }
    return answers.at(kv_format);
  }
};

INSTANTIATE_TEST_SUITE_P(
    Servings, IdentityTest,
    ::testing::Values(Serving{"Together", 64, 512, 400, 0, 0}, Serving{"InSmallSteps", 8, 48, 60, 0, 0},
                      Serving{"FromAFullPrefixCache", 4, 48, 14, 14, 0},
                      Serving{"FromASmallPrefixCache", 4, 64, 14, 3, 0},
                      Serving{"Guessing", 1, 256, 14, 0, 7}, Serving{"GuessingTogether", 4, 96, 30, 0, 3},
                      Serving{"AllAtOnce", 6, 40, 30, 12, 5}, Serving{"FromDisk", 4, 64, 14, 3, 3, true},
                      Serving{"InInt8", 64, 512, 400, 0, 0, false, engine::KvFormat::kInt8},
                      Serving{"InInt8FromDisk", 6, 40, 30, 3, 5, true, engine::KvFormat::kInt8}),
    [](const auto& info) { return info.param.name; });

/// Bits, not roughly. A cancelled sequence is cut earlier or later, so of two answers the shorter begins the
/// longer.
TEST_P(IdentityTest, TokensAndLogprobsAreThoseOfEachRequestAlone) {
  const Answers answers = AnswersOf(GetParam());
  int64_t compared = 0;
  for (const auto& [id, expected] : Alone(GetParam().kv_format).made) {
    const auto found = answers.made.find(id);
    if (found == answers.made.end()) continue;
    const size_t length = std::min(expected.size(), found->second.size());
    for (size_t i = 0; i < length; ++i) ASSERT_EQ(found->second[i], expected[i]) << id << " at " << i;
    ++compared;
  }
  EXPECT_GT(compared, kRequests * 8 / 10);
  if (GetParam().prefix_blocks > 0) {
    EXPECT_GT(answers.status.prefixes.hits, kRequests / 20);
    EXPECT_GT(answers.status.prefixes.evictions, 100);
  }
  if (GetParam().disk) {
    EXPECT_GT(answers.status.disk.hits, kRequests / 20);
    EXPECT_EQ(answers.status.disk.errors, 0);
  }
  if (GetParam().draft_tokens > 0) {
    EXPECT_GT(answers.status.totals.accepted_draft_tokens, kRequests / 10);
    EXPECT_LT(answers.status.totals.accepted_draft_tokens, answers.status.totals.draft_tokens);
  }
}

}  // namespace
}  // namespace conclave::decoder
