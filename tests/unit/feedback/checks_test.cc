#include "services/feedback/checks.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "services/feedback/limits.h"
#include "services/feedback/prepare.h"
#include "services/feedback/prompt_digest.h"
#include "services/feedback/verdict.h"
#include "tests/unit/feedback/feedback_fixture.h"

namespace conclave::feedback {
namespace {

void ExpectRefused(const Status& status, const std::string& named) {
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find(named), std::string::npos) << status.message();
}

TEST(CheckId, TakesWhatTheContractSays) {
  for (const char* id : {"a", "A-z_09", "-", "_"}) EXPECT_TRUE(CheckId(id, "id").ok()) << id;
  EXPECT_TRUE(CheckId(std::string(kMaxIdBytes, 'x'), "id").ok());
  for (const char* id : {"", "a b", "a/b", "../x", "\xc3\xa9", "a\n", "a."})
    ExpectRefused(CheckId(id, "id"), "id");
  ExpectRefused(CheckId(std::string(kMaxIdBytes + 1, 'x'), "id"), "id");
  ExpectRefused(CheckId(std::string("a\0", 2), "id"), "id");
}

TEST(CheckRecord, TakesChatsAndRawPrompts) {
  EXPECT_TRUE(CheckRecord(ChatAnswer("a")).ok());
  EXPECT_TRUE(CheckRecord(RawAnswer("a", "Once", " upon")).ok());
  EXPECT_TRUE(CheckRecord(RawAnswer("a", "", " upon")).ok()) << "tokens alone are a prompt";
}

TEST(CheckRecord, NamesWhatIsWrong) {
  auto record = ChatAnswer("a");
  record.clear_messages();
  record.clear_prompt_token_ids();
  ExpectRefused(CheckRecord(record), "no prompt");
  record = ChatAnswer("a");
  record.set_prompt("both");
  ExpectRefused(CheckRecord(record), "messages and prompt");
  record = ChatAnswer("a");
  record.mutable_messages(0)->set_role(v1::ROLE_UNSPECIFIED);
  ExpectRefused(CheckRecord(record), "messages[0].role");
  record = ChatAnswer("a");
  record.mutable_messages(0)->set_role(static_cast<v1::Role>(99));
  ExpectRefused(CheckRecord(record), "messages[0].role");
  record = ChatAnswer("a");
  record.set_tenant(std::string(kMaxIdBytes + 1, 't'));
  ExpectRefused(CheckRecord(record), "tenant");
  ExpectRefused(CheckRecord(ChatAnswer("no spaces")), "response_id");
}

TEST(CheckRecord, EachTokenHasOneFiniteLogprob) {
  auto record = ChatAnswer("a");
  record.add_token_ids(1);
  ExpectRefused(CheckRecord(record), "sampling_logprobs has 2 values for 3 token_ids");
  record.add_sampling_logprobs(std::numeric_limits<float>::quiet_NaN());
  ExpectRefused(CheckRecord(record), "sampling_logprobs[2]");
  record.set_sampling_logprobs(2, -std::numeric_limits<float>::infinity());
  ExpectRefused(CheckRecord(record), "sampling_logprobs[2]");
  record.set_sampling_logprobs(2, -100);
  EXPECT_TRUE(CheckRecord(record).ok());
}

TEST(CheckRecord, InvalidUtf8IsRefusedWithItsPlace) {
  auto record = ChatAnswer("a", "Hello?", "good\xff");
  ExpectRefused(CheckRecord(record), "text is not UTF-8 at byte 4");
  record = ChatAnswer("a", "\xed\xa0\x80");
  ExpectRefused(CheckRecord(record), "messages[0].content");
  record = RawAnswer("a", "half \xe2\x82", "");
  ExpectRefused(CheckRecord(record), "prompt");
  record = ChatAnswer("a");
  record.add_sources("\x80");
  ExpectRefused(CheckRecord(record), "sources");
}

TEST(CheckRecord, SizesAreBounded) {
  ExpectRefused(CheckRecord(ChatAnswer("a", "Hello?", std::string(kMaxRecordBytes, 'x'))), "at most");
  auto record = ChatAnswer("a");
  for (size_t i = 0; i < kMaxMessages; ++i) *record.add_messages() = record.messages(0);
  ExpectRefused(CheckRecord(record), "messages has 4097 turns");
}

TEST(CheckRating, TakesEachKindOfVote) {
  EXPECT_TRUE(CheckRating(Rating("a", "", ThumbVote(v1::THUMB_GOOD))).ok());
  EXPECT_TRUE(CheckRating(Rating("a", "", ThumbVote(v1::THUMB_BAD))).ok());
  for (uint32_t stars = 1; stars <= 5; ++stars)
    EXPECT_TRUE(CheckRating(Rating("a", "", StarsVote(stars))).ok());
  EXPECT_TRUE(CheckRating(Rating("a", "", CorrectionVote(std::string(kMaxCorrectionBytes, 'c')))).ok());
  EXPECT_TRUE(CheckRating(Rating("a", "", PreferenceVote("b", "", v1::Preference::OUTCOME_TIE))).ok());
}

TEST(CheckRating, ThereIsExactlyOneVote) {
  v1::RateRequest none;
  none.set_response_id("a");
  ExpectRefused(CheckRating(none), "no vote");
  ExpectRefused(CheckRating(Rating("a", "", v1::Vote())), "no vote");
  v1::Vote twice = StarsVote(5);
  twice.set_thumb(v1::THUMB_BAD);
  EXPECT_EQ(twice.stars(), 0u) << "the wire format itself keeps only the last";
}

TEST(CheckRating, NamesWhatIsWrong) {
  ExpectRefused(CheckRating(Rating("a", "", ThumbVote(v1::THUMB_UNSPECIFIED))), "thumb");
  ExpectRefused(CheckRating(Rating("a", "", ThumbVote(static_cast<v1::Thumb>(7)))), "thumb");
  ExpectRefused(CheckRating(Rating("a", "", StarsVote(0))), "stars is 0");
  ExpectRefused(CheckRating(Rating("a", "", StarsVote(6))), "stars is 6");
  ExpectRefused(CheckRating(Rating("a", "", StarsVote(4294967295u))), "stars");
  ExpectRefused(CheckRating(Rating("a", "", CorrectionVote(""))), "correction");
  ExpectRefused(CheckRating(Rating("a", "", CorrectionVote(std::string(kMaxCorrectionBytes + 1, 'c')))),
                "at most 1048576");
  ExpectRefused(CheckRating(Rating("a", "", CorrectionVote("\xc0\xaf"))), "correction is not UTF-8");
  ExpectRefused(CheckRating(Rating("", "", StarsVote(3))), "response_id");
}

TEST(CheckRating, ComparisonsNameTwoAnswersAndAnOutcome) {
  ExpectRefused(CheckRating(Rating("a", "", PreferenceVote("a", "", v1::Preference::OUTCOME_TIE))), "itself");
  ExpectRefused(CheckRating(Rating("a", "", PreferenceVote("", "", v1::Preference::OUTCOME_TIE))),
                "other_response");
  ExpectRefused(CheckRating(Rating("a", "", PreferenceVote("b", "", v1::Preference::OUTCOME_UNSPECIFIED))),
                "outcome");
  ExpectRefused(
      CheckRating(Rating("a", "", PreferenceVote("b", "", static_cast<v1::Preference::Outcome>(9)))),
      "outcome");
}

TEST(CheckRating, CommentsAreBoundedAndUtf8) {
  v1::RateRequest rating = Rating("a", "", StarsVote(3));
  rating.set_comment(std::string(kMaxCommentBytes, 'c'));
  EXPECT_TRUE(CheckRating(rating).ok());
  rating.set_comment(std::string(kMaxCommentBytes + 1, 'c'));
  ExpectRefused(CheckRating(rating), "comment has 16385 bytes");
  rating.set_comment("\xff");
  ExpectRefused(CheckRating(rating), "comment is not UTF-8");
}

TEST(Verdict, StarsMapToGoodAndBad) {
  const Verdict expected[] = {Verdict::kNone, Verdict::kBad,  Verdict::kBad,
                              Verdict::kNone, Verdict::kGood, Verdict::kGood};
  for (uint32_t stars = 1; stars <= 5; ++stars)
    EXPECT_EQ(VerdictOf(StarsVote(stars)), expected[stars]) << stars;
  EXPECT_EQ(VerdictOf(ThumbVote(v1::THUMB_GOOD)), Verdict::kGood);
  EXPECT_EQ(VerdictOf(ThumbVote(v1::THUMB_BAD)), Verdict::kBad);
  EXPECT_EQ(VerdictOf(CorrectionVote("x")), Verdict::kNone);
  EXPECT_EQ(VerdictOf(PreferenceVote("b", "", v1::Preference::OUTCOME_TIE)), Verdict::kNone);
}

TEST(PromptDigest, DependsOnThePromptAndTheTenantOnly) {
  const std::string digest = PromptDigest(ChatAnswer("a", "Hello?", "Hi."));
  v1::RecordRequest same = ChatAnswer("b", "Hello?", "Go away.");
  same.mutable_model()->set_model_hash("another");
  same.set_seed(7);
  same.clear_prompt_token_ids();
  EXPECT_EQ(PromptDigest(same), digest);
  EXPECT_NE(PromptDigest(ChatAnswer("a", "Hello!")), digest);
  v1::RecordRequest other = ChatAnswer("a");
  other.set_tenant("acme");
  EXPECT_NE(PromptDigest(other), digest);
  other = ChatAnswer("a");
  other.add_sources("page.html");
  EXPECT_NE(PromptDigest(other), digest);
  other = ChatAnswer("a");
  other.mutable_messages(0)->set_role(v1::ROLE_SYSTEM);
  EXPECT_NE(PromptDigest(other), digest);
}

TEST(PromptDigest, TextsCannotRunIntoEachOther) {
  v1::RecordRequest one = ChatAnswer("a", "ab");
  *one.add_messages() = one.messages(0);
  one.mutable_messages(1)->set_content("c");
  v1::RecordRequest two = one;
  two.mutable_messages(0)->set_content("a");
  two.mutable_messages(1)->set_content("bc");
  EXPECT_NE(PromptDigest(one), PromptDigest(two));
  EXPECT_NE(PromptDigest(RawAnswer("a", "ab", "")), PromptDigest(ChatAnswer("a", "ab")));
}

TEST(PromptDigest, TokensAloneAreOfOneModel) {
  v1::RecordRequest one = RawAnswer("a", "", "x");
  v1::RecordRequest two = one;
  EXPECT_EQ(PromptDigest(one), PromptDigest(two));
  two.mutable_model()->set_model_hash("another vocabulary");
  EXPECT_NE(PromptDigest(one), PromptDigest(two));
  two = one;
  two.set_prompt_token_ids(0, 1000);
  EXPECT_NE(PromptDigest(one), PromptDigest(two));
}

TEST(TenantFor, OnlyATrustedCallerNamesAnother) {
  EXPECT_EQ(TenantFor("", "acme", false).value(), "acme");
  EXPECT_EQ(TenantFor("acme", "acme", false).value(), "acme");
  EXPECT_EQ(TenantFor("other", "acme", true).value(), "other");
  EXPECT_EQ(TenantFor("other", "acme", false).status().code(), StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace conclave::feedback
