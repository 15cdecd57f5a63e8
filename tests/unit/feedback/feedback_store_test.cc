#include "services/feedback/feedback_store.h"

#include <gtest/gtest.h>

#include "services/feedback/limits.h"
#include "services/feedback/prompt_digest.h"
#include "services/feedback/record_keys.h"
#include "tests/unit/feedback/feedback_fixture.h"

namespace conclave::feedback {
namespace {

using FeedbackStoreTest = StoreTest;

TEST_F(FeedbackStoreTest, RatingGoesWhereItsTokenSays) {
  const std::string token = Record(ChatAnswer("a"));
  const auto rating = Rate("a", token, ThumbVote(v1::THUMB_GOOD));
  ASSERT_TRUE(rating.ok()) << rating.status().ToString();
  EXPECT_EQ(rating->size(), 2 * kNonceBytes);
  const auto lines = Export(v1::EXPORT_FORMAT_RATINGS);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].rating_ids(0), *rating);
}

TEST_F(FeedbackStoreTest, UsedTokenIsRefusedAndNamesItsRating) {
  const std::string token = Record(ChatAnswer("a"));
  const auto first = Rate("a", token, StarsVote(5));
  const auto second = Rate("a", token, StarsVote(1));
  EXPECT_EQ(second.status().code(), StatusCode::kAlreadyExists);
  EXPECT_NE(second.status().message().find(*first), std::string::npos);
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS).size(), 1u);
}

TEST_F(FeedbackStoreTest, UsedTokenStaysUsedAfterARestart) {
  const std::string token = Record(ChatAnswer("a"));
  ASSERT_TRUE(Rate("a", token, StarsVote(5)).ok());
  Close();
  Open();
  EXPECT_EQ(Rate("a", token, StarsVote(1)).status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS).size(), 1u);
}

TEST_F(FeedbackStoreTest, TwoUsesInOneGroupCountOnce) {
  const std::string token = Record(ChatAnswer("a"));
  const auto change = PrepareRating(signer_, Rating("a", token, StarsVote(4)), "default", now_ms_).value();
  const Change group[] = {change, change, change};
  const auto results = store_->Commit(group);
  EXPECT_TRUE(results[0].ok());
  EXPECT_EQ(results[1].status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(results[2].status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS).size(), 1u);
}

TEST_F(FeedbackStoreTest, AnswerAndItsRatingMayShareAGroup) {
  const auto record = PrepareRecord(ChatAnswer("a"), now_ms_).value();
  const std::string token = Record(ChatAnswer("b"));
  const auto rate = PrepareRating(signer_, Rating("b", token, StarsVote(4)), "default", now_ms_).value();
  const Change group[] = {record, record, rate};
  const auto results = store_->Commit(group);
  for (const auto& result : results) EXPECT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(results[0]->claims.nonce(), results[1]->claims.nonce());
}

TEST_F(FeedbackStoreTest, SameAnswerGetsTheSameToken) {
  const std::string token = Record(ChatAnswer("a"));
  now_ms_ += 1000;
  EXPECT_EQ(Record(ChatAnswer("a")), token);
  ASSERT_TRUE(Rate("a", token, StarsVote(5)).ok());
  EXPECT_EQ(Record(ChatAnswer("a")), token);
  EXPECT_EQ(Rate("a", token, StarsVote(5)).status().code(), StatusCode::kAlreadyExists);
}

TEST_F(FeedbackStoreTest, OrderOfAMapDoesNotMakeAnotherAnswer) {
  v1::RecordRequest one = ChatAnswer("a");
  v1::RecordRequest two = ChatAnswer("a");
  for (int i = 0; i < 100; ++i) (*one.mutable_sampling()->mutable_logit_bias())[i] = i;
  for (int i = 99; i >= 0; --i) (*two.mutable_sampling()->mutable_logit_bias())[i] = i;
  EXPECT_EQ(Record(one), Record(two));
}

TEST_F(FeedbackStoreTest, ResponseIdIsTakenByItsFirstAnswer) {
  ASSERT_NE(Record(ChatAnswer("a")), "");
  v1::RecordRequest other = ChatAnswer("a");
  other.set_sampling_logprobs(1, -1.5f);
  const auto refused = CommitOne(PrepareRecord(other, now_ms_).value());
  EXPECT_EQ(refused.status().code(), StatusCode::kAlreadyExists);
  other = ChatAnswer("a");
  other.set_tenant("acme");
  EXPECT_EQ(CommitOne(PrepareRecord(other, now_ms_).value()).status().code(), StatusCode::kAlreadyExists);
}

TEST_F(FeedbackStoreTest, UnknownResponseIsNotFound) {
  VoteTokenClaims claims;
  claims.set_response_id("ghost");
  claims.set_tenant("default");
  claims.set_expires_ms(now_ms_ + 1);
  claims.set_nonce(std::string(kNonceBytes, 'n'));
  EXPECT_EQ(Rate("ghost", signer_.Sign(claims), StarsVote(3)).status().code(), StatusCode::kNotFound);
}

TEST_F(FeedbackStoreTest, OnlyTheTokenOfTheStoredAnswerCounts) {
  const std::string token = Record(ChatAnswer("a"));
  VoteTokenClaims claims = signer_.Verify(token).value();
  claims.set_nonce(std::string(kNonceBytes, 'n'));
  EXPECT_EQ(Rate("a", signer_.Sign(claims), StarsVote(3)).status().code(), StatusCode::kPermissionDenied);
}

TEST_F(FeedbackStoreTest, ExpiredTokenIsRefusedByTheGivenClock) {
  const std::string token = Record(ChatAnswer("a"));
  now_ms_ += kVoteTokenLifetimeMs;
  EXPECT_EQ(Rate("a", token, StarsVote(3)).status().code(), StatusCode::kFailedPrecondition);
  now_ms_ -= 1;
  EXPECT_TRUE(Rate("a", token, StarsVote(3)).ok());
}

TEST_F(FeedbackStoreTest, OtherTenantIsRefused) {
  const std::string token = Record(ChatAnswer("a"));
  EXPECT_EQ(Rate(Rating("a", token, StarsVote(3)), "acme").status().code(), StatusCode::kPermissionDenied);
  EXPECT_TRUE(Rate("a", token, StarsVote(3)).ok());
}

TEST_F(FeedbackStoreTest, ComparisonUsesUpBothTokens) {
  const std::string a = Record(ChatAnswer("a", "Same?", "One."));
  const std::string b = Record(ChatAnswer("b", "Same?", "Two."));
  const auto vote = PreferenceVote("b", b, v1::Preference::OUTCOME_RATED_IS_BETTER);
  ASSERT_TRUE(Rate("a", a, vote).ok());
  EXPECT_EQ(Rate("a", a, StarsVote(3)).status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Rate("b", b, StarsVote(3)).status().code(), StatusCode::kAlreadyExists);
  const auto back = PreferenceVote("a", a, v1::Preference::OUTCOME_RATED_IS_BETTER);
  EXPECT_EQ(Rate("b", b, back).status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS).size(), 1u);
}

TEST_F(FeedbackStoreTest, ComparisonWithAUsedTokenLeavesTheOtherUnused) {
  const std::string a = Record(ChatAnswer("a", "Same?", "One."));
  const std::string b = Record(ChatAnswer("b", "Same?", "Two."));
  ASSERT_TRUE(Rate("b", b, StarsVote(3)).ok());
  const auto vote = PreferenceVote("b", b, v1::Preference::OUTCOME_TIE);
  EXPECT_EQ(Rate("a", a, vote).status().code(), StatusCode::kAlreadyExists);
  EXPECT_TRUE(Rate("a", a, StarsVote(3)).ok());
}

TEST_F(FeedbackStoreTest, ComparisonNeedsOnePromptAndBothTokens) {
  const std::string a = Record(ChatAnswer("a", "Same?"));
  const std::string b = Record(ChatAnswer("b", "Different?"));
  const auto tie = v1::Preference::OUTCOME_TIE;
  EXPECT_EQ(Rate("a", a, PreferenceVote("b", b, tie)).status().code(), StatusCode::kFailedPrecondition);
  const auto without = Rate("a", a, PreferenceVote("b", "", tie));
  EXPECT_EQ(without.status().code(), StatusCode::kUnauthenticated);
  EXPECT_NE(without.status().message().find("other_vote_token"), std::string::npos);
  EXPECT_EQ(Rate("a", a, PreferenceVote("b", a, tie)).status().code(), StatusCode::kPermissionDenied);
  EXPECT_TRUE(Rate("a", a, StarsVote(3)).ok());
  EXPECT_TRUE(Rate("b", b, StarsVote(3)).ok());
}

TEST_F(FeedbackStoreTest, TokensAreNotKept) {
  const std::string a = Record(ChatAnswer("a", "Same?", "One."));
  const std::string b = Record(ChatAnswer("b", "Same?", "Two."));
  ASSERT_TRUE(Rate("a", a, PreferenceVote("b", b, v1::Preference::OUTCOME_TIE)).ok());
  bool kept = false;
  const auto look = [&](std::string_view, std::string_view value) {
    kept = kept || value.find(a) != value.npos || value.find(b) != value.npos;
    return true;
  };
  ASSERT_TRUE(durable_->Scan({}, look).ok());
  EXPECT_FALSE(kept);
}

TEST_F(FeedbackStoreTest, DamagedReceiptIsDataLoss) {
  const std::string token = Record(ChatAnswer("a"));
  ASSERT_TRUE(durable_->Put(ReceiptKey("a"), "\xff\xff", platform::Durability::kSync).ok());
  EXPECT_EQ(Rate("a", token, StarsVote(3)).status().code(), StatusCode::kDataLoss);
}

/// A store whose next writes fail; what failed can be replayed as a log would after a crash.
class FailingWriteTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    store_ = std::make_unique<FeedbackStore>(*durable_, [this](platform::WriteBatch&& batch) {
      if (!failing_) return durable_->Write(std::move(batch), platform::Durability::kSync);
      failed_batches_.push_back(std::move(batch));
      return ResourceExhausted("the disk is full");
    });
  }

  bool failing_ = false;
  std::vector<platform::WriteBatch> failed_batches_;
};

TEST_F(FailingWriteTest, FailedWriteLeavesItsTokensUnused) {
  const std::string a = Record(ChatAnswer("a"));
  failing_ = true;
  const auto refused = Rate("a", a, StarsVote(3));
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_NE(refused.status().message().find("no vote token was used"), std::string::npos);
  failing_ = false;
  EXPECT_TRUE(Rate("a", a, StarsVote(3)).ok());
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS).size(), 1u);
}

TEST_F(FailingWriteTest, OnlyChangesOfTheGroupFail) {
  const std::string used = Record(ChatAnswer("used"));
  ASSERT_TRUE(Rate("used", used, StarsVote(3)).ok());
  const std::string a = Record(ChatAnswer("a"));
  const auto rate = [&](const std::string& id, const std::string& token) {
    return PrepareRating(signer_, Rating(id, token, StarsVote(4)), "default", now_ms_).value();
  };
  failing_ = true;
  const Change group[] = {PrepareRecord(ChatAnswer("used"), now_ms_).value(), rate("used", used),
                          rate("a", a), rate("a", a), PrepareRecord(ChatAnswer("new"), now_ms_).value()};
  const auto results = store_->Commit(group);
  EXPECT_TRUE(results[0].ok()) << "it was on disk before";
  EXPECT_EQ(results[1].status().code(), StatusCode::kAlreadyExists) << "it was used before";
  for (size_t i : {2, 3, 4}) EXPECT_EQ(results[i].status().code(), StatusCode::kResourceExhausted) << i;
}

// After an fsync that failed, a batch may be in the log all the same and come back with the next start.
TEST_F(FailingWriteTest, FailedBatchThatReappearsCountsOnce) {
  const std::string a = Record(ChatAnswer("a", "Same?", "One."));
  const std::string b = Record(ChatAnswer("b", "Same?", "Two."));
  failing_ = true;
  ASSERT_FALSE(Rate("a", a, PreferenceVote("b", b, v1::Preference::OUTCOME_TIE)).ok());
  ASSERT_TRUE(durable_->Write(std::move(failed_batches_[0]), platform::Durability::kSync).ok());
  // As the log orders them: what was acknowledged comes after what failed.
  failing_ = false;
  const auto phantom = Export(v1::EXPORT_FORMAT_RATINGS);
  EXPECT_EQ(phantom.size(), 1u);
  EXPECT_FALSE(Rate("a", a, StarsVote(1)).ok());
}

TEST_F(FailingWriteTest, RetriedRatingReplacesTheBatchThatReappears) {
  const std::string a = Record(ChatAnswer("a", "Same?", "One."));
  const std::string b = Record(ChatAnswer("b", "Same?", "Two."));
  failing_ = true;
  ASSERT_FALSE(Rate("a", a, ThumbVote(v1::THUMB_BAD)).ok());
  failing_ = false;
  const auto rating_b = Rate("b", b, ThumbVote(v1::THUMB_GOOD));
  const auto rating_a = Rate("a", a, ThumbVote(v1::THUMB_GOOD));
  ASSERT_TRUE(rating_a.ok() && rating_b.ok());
  // The log replays the failed batch first and then the two that were acknowledged over it: here the keys
  // that only the failed batch wrote are put back by hand.
  std::string bad_nonce = signer_.Verify(a).value().nonce();
  const std::string digest = PromptDigest(ChatAnswer("a", "Same?"));
  ASSERT_TRUE(
      durable_->Put(VerdictKey(digest, Verdict::kBad, 0), bad_nonce, platform::Durability::kSync).ok());
  ASSERT_TRUE(durable_->Put(OrderKey(99), bad_nonce, platform::Durability::kSync).ok());
  const auto lines = Export(v1::EXPORT_FORMAT_RATINGS);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].rating_ids(0), *rating_b);
  EXPECT_EQ(lines[1].rating_ids(0), *rating_a);
  EXPECT_TRUE(Export(v1::EXPORT_FORMAT_PREFERENCE).empty()) << "no bad rating was acknowledged";
}

TEST(RecordKeys, SortAsNumbers) {
  EXPECT_LT(OrderKey(9), OrderKey(10));
  EXPECT_LT(OrderKey(255), OrderKey(256));
  EXPECT_LT(OrderKey(1), OrderKey(UINT64_MAX));
  for (uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{0xabcdef}, UINT64_MAX}) {
    uint64_t decoded = 7;
    ASSERT_TRUE(DecodeNumber(EncodeNumber(value), decoded));
    EXPECT_EQ(decoded, value);
  }
  uint64_t ignored = 0;
  for (const char* text : {"", "0", "000000000000000g", "00000000000000001", "-000000000000001"}) {
    EXPECT_FALSE(DecodeNumber(text, ignored)) << text;
  }
}

}  // namespace
}  // namespace conclave::feedback
