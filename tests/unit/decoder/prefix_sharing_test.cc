#include "services/decoder/prefix_sharing.h"

#include <random>

#include "tests/unit/decoder/scheduler_fixture.h"
#include "tests/unit/decoder/small_decoder.h"

namespace conclave::decoder {
namespace {

using Sizes = std::vector<int64_t>;

class PrefixSharingTest : public SchedulerTest {
 protected:
  PrefixSharingTest() { Restart({.prefix_cache_bytes = 1 << 20}, 16); }

  Status AdmitOf(const std::string& tenant, uint64_t id, int64_t prompt_tokens, int64_t max_tokens) {
    SequenceRequest request = Request(sink_, id, prompt_tokens, max_tokens);
    request.tenant = tenant;
    return scheduler_->Admit(std::move(request));
  }
};

TEST_F(PrefixSharingTest, RepeatedPromptIsNotComputedAgain) {
  ASSERT_TRUE(AdmitOf("a", 1, 70, 1).ok());
  EXPECT_EQ(Step(), Sizes{70});
  ASSERT_TRUE(AdmitOf("a", 2, 70, 1).ok());
  EXPECT_EQ(Step(), Sizes{6});
  EXPECT_EQ(sink_->End(1)->cached_prompt_tokens, 0);
  EXPECT_EQ(sink_->End(2)->cached_prompt_tokens, 64);
  EXPECT_EQ(sink_->End(2)->prompt_tokens, 70);
  const PrefixStatus status = scheduler_->Snapshot().prefixes;
  EXPECT_EQ(status.hits, 1);
  EXPECT_EQ(status.misses, 1);
  EXPECT_EQ(status.bytes_used, 2 * pool_->layout().block_bytes());
}

/// CVE-2025-46570: the time of an answer must not tell what another tenant asked.
TEST_F(PrefixSharingTest, AnotherTenantsPromptIsComputedAsIfItWereNew) {
  ASSERT_TRUE(AdmitOf("a", 1, 70, 1).ok());
  Step();
  uint64_t id = 1;
  for (const std::string tenant : {"b", "", "a ", "aa"}) {
    ASSERT_TRUE(AdmitOf(tenant, ++id, 70, 1).ok());
    EXPECT_EQ(Step(), Sizes{70}) << tenant;
    EXPECT_EQ(sink_->End(id)->cached_prompt_tokens, 0);
  }
}

TEST_F(PrefixSharingTest, CancelledSequenceIsRememberedAndAFailedOneIsNot) {
  ASSERT_TRUE(AdmitOf("a", 1, 70, 9).ok());
  Step();
  scheduler_->Cancel(sink_.get(), 1);
  ASSERT_TRUE(AdmitOf("a", 2, 70, 9).ok());
  EXPECT_EQ(Step(), Sizes{6});
  scheduler_->CancelAll(sink_.get());
  ASSERT_TRUE(AdmitOf("b", 3, 70, 9).ok());
  Step();
  (void)scheduler_->Plan(now_);
  scheduler_->Fail(Unavailable("a shard is gone"));
  ASSERT_TRUE(AdmitOf("b", 4, 70, 9).ok());
  EXPECT_EQ(Step(), Sizes{70});
}

TEST_F(PrefixSharingTest, OldPrefixesMakeRoomBeforeAnyoneWaits) {
  Restart({.prefix_cache_bytes = 1 << 20}, 4);
  ASSERT_TRUE(AdmitOf("a", 1, 127, 1).ok());
  Step();
  ASSERT_TRUE(AdmitOf("b", 2, 127, 1).ok());
  EXPECT_EQ(Step(), Sizes{127});
  EXPECT_GT(scheduler_->Snapshot().prefixes.evictions, 0);
}

TEST_F(PrefixSharingTest, FloodOfPrefixesStaysInItsBudgetAndStopsNobody) {
  const int64_t block = pool_->layout().block_bytes();
  Restart({.prefix_cache_bytes = 5 * block}, 16);
  ASSERT_TRUE(AdmitOf("victim", 1, 2, 250).ok());
  std::mt19937 random(1);
  for (uint64_t id = 2; id < 200; ++id) {
    SequenceRequest request = Request(sink_, id, 100, 1);
    for (int32_t& token : request.prompt) token = static_cast<int32_t>(random() % kVocabulary);
    request.tenant = "attacker" + std::to_string(id % 7);
    ASSERT_TRUE(scheduler_->Admit(std::move(request)).ok());
    const size_t before = sink_->Tokens(1).size();
    Step();
    EXPECT_EQ(sink_->Tokens(1).size(), before + 1);
    EXPECT_TRUE(sink_->End(id).has_value());
    EXPECT_LE(scheduler_->Snapshot().prefixes.bytes_used, 5 * block);
  }
}

/// What a decoder answered: tokens and log-probabilities by sequence.
struct Answers {
  std::map<uint64_t, std::vector<std::pair<int32_t, float>>> made;
  PrefixStatus prefixes;
};

Answers AnswersOf(int64_t cache_blocks, int64_t requests) {
  SmallDecoder probe({}, SmallLlama(MatrixType::kQ8_0).Bytes(), 1);
  const int64_t bytes = cache_blocks * probe.kv->layout().block_bytes();
  SmallDecoder decoder({.running_sequences = 4, .step_tokens = 48, .prefix_cache_bytes = bytes},
                       SmallLlama(MatrixType::kQ8_0).Bytes(), 14);
  auto sink = std::make_shared<CollectingSink>();
  std::mt19937 random(77);
  for (int64_t i = 0; i < requests; ++i) {
    SequenceRequest request = Request(sink, static_cast<uint64_t>(i), 1 + random() % 100, 1 + random() % 6);
    const auto family = static_cast<int32_t>(random() % 3);
    for (int32_t& token : request.prompt) token = (token * 5 + family) % 48;
    if (random() % 2 == 0)
      request.prompt[random() % request.prompt.size()] = static_cast<int32_t>(random() % 48);
    request.tenant = std::string(1, static_cast<char>('a' + random() % 2));
    request.sampling.seed = random();
    request.sampling.logprobs = 1;
    EXPECT_TRUE(decoder.scheduler->Admit(std::move(request)).ok());
    if (random() % 3 == 0) decoder.runner->RunStep(*decoder.scheduler);
    if (random() % 10 == 0) decoder.scheduler->Cancel(sink.get(), random() % (i + 1));
    while (decoder.scheduler->Snapshot().queued > 8) decoder.runner->RunStep(*decoder.scheduler);
  }
  while (decoder.scheduler->HasWork()) decoder.runner->RunStep(*decoder.scheduler);
  Answers answers{.prefixes = decoder.scheduler->Snapshot().prefixes};
  for (const auto& events : sink->deliveries) {
    for (const SequenceEvent& event : events) {
      for (const auto& token : event.tokens) {
        answers.made[event.sequence_id].emplace_back(token.token_id, token.logprob);
      }
    }
  }
  return answers;
}

/// A cancelled sequence is cut earlier or later, so of two answers the shorter begins the longer.
TEST(PrefixDeterminismTest, TokensAndLogprobsAreTheSameBitsWithAndWithoutTheCache) {
  constexpr int64_t kRequests = 1000;
  const Answers without = AnswersOf(0, kRequests);
  EXPECT_EQ(without.prefixes.hits, 0);
  for (const int64_t blocks : {3, 14}) {
    const Answers with = AnswersOf(blocks, kRequests);
    EXPECT_GT(with.prefixes.hits, kRequests / 20);
    EXPECT_GT(with.prefixes.evictions, 100);
    int64_t compared = 0;
    for (const auto& [id, expected] : without.made) {
      const auto found = with.made.find(id);
      if (found == with.made.end()) continue;
      const size_t length = std::min(expected.size(), found->second.size());
      for (size_t i = 0; i < length; ++i) ASSERT_EQ(found->second[i], expected[i]) << id << " at " << i;
      ++compared;
    }
    EXPECT_GT(compared, kRequests * 8 / 10);
  }
}

}  // namespace
}  // namespace conclave::decoder
