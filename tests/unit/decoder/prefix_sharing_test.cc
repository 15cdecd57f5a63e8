#include "services/decoder/prefix_sharing.h"

#include <random>

#include "tests/unit/decoder/scheduler_fixture.h"

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
  (void)scheduler_->Plan(now_);
  scheduler_->Fail(Unavailable("a shard is gone"));
  ASSERT_TRUE(AdmitOf("b", 4, 70, 9).ok());
  EXPECT_EQ(Step(), Sizes{70});
}

TEST_F(PrefixSharingTest, OfPromptsThatComeTogetherTheFirstComputesTheirBeginningForAll) {
  Restart({.step_tokens = 64, .prefix_cache_bytes = 1 << 20}, 16);
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(AdmitOf("a", id, 70, 2).ok());
  ASSERT_TRUE(AdmitOf("b", 4, 70, 2).ok());
  EXPECT_EQ(Step(), (Sizes{64}));
  EXPECT_EQ(Step(), (Sizes{6, 58})) << "those that waited come behind who did not";
  EXPECT_EQ(scheduler_->Snapshot().running, 4);
  while (scheduler_->HasWork()) Step();
  for (uint64_t id = 2; id <= 3; ++id) EXPECT_EQ(sink_->End(id)->cached_prompt_tokens, 64);
  EXPECT_EQ(sink_->End(4)->cached_prompt_tokens, 0);
  EXPECT_EQ(scheduler_->Snapshot().totals.prompt_tokens, 2 * 70 + 2 * 6);
}

TEST_F(PrefixSharingTest, NobodyWaitsForAPromptThatIsPaused) {
  Restart({.step_tokens = 32, .prefix_cache_bytes = 1 << 20}, 16);
  auto other = std::make_shared<CollectingSink>();
  ASSERT_TRUE(AdmitOf("a", 1, 70, 2).ok());
  EXPECT_EQ(Step(), Sizes{32});
  SequenceRequest request = Request(other, 1, 70, 2);
  request.tenant = "a";
  ASSERT_TRUE(scheduler_->Admit(std::move(request)).ok());
  sink_->ready = false;
  EXPECT_EQ(Step(), Sizes{32}) << "the second block of the other one";
  EXPECT_EQ(Step(), Sizes{6});
  EXPECT_EQ(other->Tokens(1).size(), 1u);
}

TEST_F(PrefixSharingTest, WhoeverFoundNoRoomIsAskedAgainWhenSomethingEnds) {
  Restart({.prefix_cache_bytes = 1 << 20}, 4);
  ASSERT_TRUE(AdmitOf("a", 1, 60, 4).ok());
  ASSERT_TRUE(AdmitOf("b", 2, 60, 36).ok());
  for (int step = 0; step < 3; ++step) EXPECT_EQ(Step().size(), 1u);
  EXPECT_FALSE(sink_->End(1).has_value());
  Step();
  ASSERT_TRUE(sink_->End(1).has_value());
  EXPECT_EQ(Step(), Sizes{60});
  scheduler_->Cancel(sink_.get(), 2);
  EXPECT_FALSE(scheduler_->HasWork());
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

}  // namespace
}  // namespace conclave::decoder
