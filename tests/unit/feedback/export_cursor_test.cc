#include "services/feedback/export_cursor.h"

#include <gtest/gtest.h>

#include "services/feedback/limits.h"
#include "services/feedback/record_keys.h"
#include "tests/unit/feedback/feedback_fixture.h"

namespace conclave::feedback {
namespace {

class ExportCursorTest : public StoreTest {
 protected:
  /// Stores an answer and rates it; the rating's id.
  std::string RateAnswer(const std::string& id, const std::string& prompt, const std::string& text,
                         const v1::Vote& vote) {
    auto rating = Rate(id, Record(ChatAnswer(id, prompt, text)), vote);
    EXPECT_TRUE(rating.ok()) << rating.status().ToString();
    return rating.ok() ? *rating : "";
  }

  static std::string Pair(const std::string& prompt, const std::string& chosen, const std::string& rejected) {
    return R"({"prompt": [{"role": "user", "content": ")" + prompt +
           R"("}], "chosen": [{"role": "assistant", "content": ")" + chosen +
           R"("}], "rejected": [{"role": "assistant", "content": ")" + rejected + R"("}]})";
  }

  std::vector<std::string> Preferences(int64_t since_ms = 0) {
    std::vector<std::string> lines;
    for (const auto& line :
         Export(v1::EXPORT_FORMAT_PREFERENCE, v1::EXPORT_STYLE_CONVERSATIONAL, "default", since_ms)) {
      lines.push_back(line.json_line());
    }
    return lines;
  }
};

TEST_F(ExportCursorTest, EmptyStoreHasNoLines) {
  for (auto format : {v1::EXPORT_FORMAT_PREFERENCE, v1::EXPORT_FORMAT_UNPAIRED, v1::EXPORT_FORMAT_SFT,
                      v1::EXPORT_FORMAT_RATINGS}) {
    EXPECT_TRUE(Export(format).empty());
  }
}

TEST_F(ExportCursorTest, ComparisonsBecomePreferences) {
  const auto compare = [&](const std::string& prompt, v1::Preference::Outcome outcome) {
    const std::string b = Record(ChatAnswer(prompt + "b", prompt, "B"));
    RateAnswer(prompt + "a", prompt, "A", PreferenceVote(prompt + "b", b, outcome));
  };
  compare("p", v1::Preference::OUTCOME_RATED_IS_BETTER);
  compare("q", v1::Preference::OUTCOME_OTHER_IS_BETTER);
  compare("r", v1::Preference::OUTCOME_TIE);
  EXPECT_EQ(Preferences(), (std::vector{Pair("p", "A", "B"), Pair("q", "B", "A")}));
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS).size(), 3u) << "a tie is a rating";
}

TEST_F(ExportCursorTest, CorrectionsBecomePreferencesAndSft) {
  RateAnswer("a", "p", "wrong", CorrectionVote("right"));
  EXPECT_EQ(Preferences(), std::vector{Pair("p", "right", "wrong")});
  const auto sft = Export(v1::EXPORT_FORMAT_SFT);
  ASSERT_EQ(sft.size(), 1u);
  EXPECT_EQ(sft[0].json_line(),
            R"({"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "right"}]})");
  EXPECT_TRUE(Export(v1::EXPORT_FORMAT_UNPAIRED).empty());
}

TEST_F(ExportCursorTest, GoodAndBadAnswersToOnePromptArePairedInOrder) {
  RateAnswer("g0", "p", "good 0", ThumbVote(v1::THUMB_GOOD));
  RateAnswer("g1", "p", "good 1", StarsVote(4));
  RateAnswer("other", "q", "elsewhere", StarsVote(1));
  const std::string bad = RateAnswer("b0", "p", "bad 0", StarsVote(2));
  RateAnswer("meh", "p", "neither", StarsVote(3));
  EXPECT_EQ(Preferences(), std::vector{Pair("p", "good 0", "bad 0")});
  RateAnswer("b1", "p", "bad 1", ThumbVote(v1::THUMB_BAD));
  RateAnswer("b2", "p", "bad 2", ThumbVote(v1::THUMB_BAD));
  RateAnswer("g2", "p", "good 2", StarsVote(5));
  EXPECT_EQ(Preferences(), (std::vector{Pair("p", "good 0", "bad 0"), Pair("p", "good 1", "bad 1"),
                                        Pair("p", "good 2", "bad 2")}));
  const auto lines = Export(v1::EXPORT_FORMAT_PREFERENCE);
  EXPECT_EQ(lines[0].rating_ids_size(), 2);
  EXPECT_EQ(lines[0].rating_ids(1), bad) << "the later rating makes the pair";
}

TEST_F(ExportCursorTest, PairsNeverCrossTenants) {
  RateAnswer("g", "p", "good", ThumbVote(v1::THUMB_GOOD));
  v1::RecordRequest other = ChatAnswer("b", "p", "bad");
  other.set_tenant("acme");
  ASSERT_TRUE(Rate(Rating("b", Record(other), ThumbVote(v1::THUMB_BAD)), "acme").ok());
  EXPECT_TRUE(Preferences().empty());
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS).size(), 1u);
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS, v1::EXPORT_STYLE_UNSPECIFIED, "acme").size(), 1u);
  EXPECT_TRUE(Export(v1::EXPORT_FORMAT_RATINGS, v1::EXPORT_STYLE_UNSPECIFIED, "nobody").empty());
}

TEST_F(ExportCursorTest, UnpairedAndSftTakeVerdicts) {
  RateAnswer("g", "p", "good", StarsVote(5));
  RateAnswer("b", "p", "bad", StarsVote(1));
  RateAnswer("m", "p", "neither", StarsVote(3));
  const auto unpaired = Export(v1::EXPORT_FORMAT_UNPAIRED);
  ASSERT_EQ(unpaired.size(), 2u);
  EXPECT_TRUE(unpaired[0].json_line().ends_with("\"label\": true}"));
  EXPECT_TRUE(unpaired[1].json_line().ends_with("\"label\": false}"));
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_SFT).size(), 1u);
}

TEST_F(ExportCursorTest, StylesAreApart) {
  RateAnswer("chat", "p", "good", StarsVote(5));
  ASSERT_TRUE(Rate("raw", Record(RawAnswer("raw", "Once", " upon")), StarsVote(5)).ok());
  const auto raw = Export(v1::EXPORT_FORMAT_UNPAIRED, v1::EXPORT_STYLE_STANDARD);
  ASSERT_EQ(raw.size(), 1u);
  EXPECT_EQ(raw[0].json_line(), R"({"prompt": "Once", "completion": " upon", "label": true})");
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_UNPAIRED, v1::EXPORT_STYLE_CONVERSATIONAL).size(), 1u);
}

TEST_F(ExportCursorTest, SinceLeavesOutWhatIsOlder) {
  RateAnswer("a", "p", "good", StarsVote(5));
  now_ms_ += 10;
  RateAnswer("b", "p", "bad", StarsVote(1));
  EXPECT_EQ(Preferences(now_ms_).size(), 1u) << "a pair is as new as its later rating";
  EXPECT_TRUE(Preferences(now_ms_ + 1).empty());
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS, v1::EXPORT_STYLE_UNSPECIFIED, "default", now_ms_).size(), 1u);
}

TEST_F(ExportCursorTest, OrderIsThatOfTheRatingsWhateverTheClockDoes) {
  std::vector<std::string> ids;
  for (int64_t jump : {0, 86'400'000, -172'800'000, 5, -1}) {
    now_ms_ += jump;
    ids.push_back(RateAnswer("r" + std::to_string(ids.size()), "p", "text", StarsVote(3)));
  }
  Close();
  Open();
  ids.push_back(RateAnswer("last", "p", "text", StarsVote(3)));
  const auto lines = Export(v1::EXPORT_FORMAT_RATINGS);
  ASSERT_EQ(lines.size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(lines[i].rating_ids(0), ids[i]) << i;
}

TEST_F(ExportCursorTest, SeesTheStoreAsItWas) {
  RateAnswer("a", "p", "one", StarsVote(5));
  v1::ExportRequest request;
  request.set_format(v1::EXPORT_FORMAT_RATINGS);
  request.set_tenant("default");
  ExportCursor cursor(*durable_, request);
  RateAnswer("b", "p", "two", StarsVote(1));
  EXPECT_EQ(Drain(cursor).size(), 1u);
}

TEST_F(ExportCursorTest, ReadsMoreThanOnePage) {
  const size_t count = 2 * kExportPageRatings + 1;
  std::vector<Change> records, ratings;
  for (size_t i = 0; i < count; ++i) {
    records.emplace_back(PrepareRecord(ChatAnswer("r" + std::to_string(i)), now_ms_).value());
  }
  const auto stored = store_->Commit(records);
  for (size_t i = 0; i < count; ++i) {
    const auto rating = Rating("r" + std::to_string(i), signer_.Sign(stored[i]->claims), StarsVote(3));
    ratings.emplace_back(PrepareRating(signer_, rating, "default", now_ms_).value());
  }
  const auto rated = store_->Commit(ratings);
  const auto lines = Export(v1::EXPORT_FORMAT_RATINGS);
  ASSERT_EQ(lines.size(), count);
  for (size_t i = 0; i < count; ++i) ASSERT_EQ(lines[i].rating_ids(0), rated[i]->rating_id) << i;
}

TEST_F(ExportCursorTest, AnswerThatIsNotTheRatedOneIsDataLoss) {
  RateAnswer("a", "p", "what was rated", StarsVote(5));
  v1::RecordRequest forged = ChatAnswer("a", "p", "what was not");
  ASSERT_TRUE(durable_->Put(ResponseKey("a"), forged.SerializeAsString(), platform::Durability::kSync).ok());
  v1::ExportRequest request;
  request.set_format(v1::EXPORT_FORMAT_UNPAIRED);
  request.set_tenant("default");
  ExportCursor cursor(*durable_, request);
  EXPECT_EQ(cursor.Next().status().code(), StatusCode::kDataLoss);
}

TEST(CheckExport, NamesWhatIsWrong) {
  v1::ExportRequest request;
  EXPECT_EQ(CheckExport(request).code(), StatusCode::kInvalidArgument);
  request.set_format(static_cast<v1::ExportFormat>(99));
  EXPECT_EQ(CheckExport(request).code(), StatusCode::kInvalidArgument);
  request.set_format(v1::EXPORT_FORMAT_RATINGS);
  EXPECT_TRUE(CheckExport(request).ok());
  request.set_style(v1::EXPORT_STYLE_STANDARD);
  EXPECT_EQ(CheckExport(request).code(), StatusCode::kInvalidArgument);
  request.set_format(v1::EXPORT_FORMAT_SFT);
  EXPECT_TRUE(CheckExport(request).ok());
  request.set_style(static_cast<v1::ExportStyle>(99));
  EXPECT_EQ(CheckExport(request).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace conclave::feedback
