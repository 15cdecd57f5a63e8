#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "services/feedback/export_cursor.h"
#include "services/feedback/feedback_store.h"
#include "services/feedback/prepare.h"
#include "tests/support/temporary_folder.h"

namespace conclave::feedback {

using conclave::testing::TemporaryFolder;

/// A valid answer `text` to the chat "`prompt`".
inline v1::RecordRequest ChatAnswer(const std::string& id, const std::string& prompt = "Hello?",
                                    const std::string& text = "Hi.") {
  v1::RecordRequest record;
  record.set_response_id(id);
  record.mutable_model()->set_name("tiny");
  record.mutable_model()->set_model_hash(std::string(64, 'a'));
  record.mutable_model()->set_adapter_hash(std::string(64, 'b'));
  v1::ChatMessage& message = *record.add_messages();
  message.set_role(v1::ROLE_USER);
  message.set_content(prompt);
  for (int token : {5, 6, 7}) record.add_prompt_token_ids(token);
  for (int token : {8, 9}) record.add_token_ids(token);
  for (float logprob : {-0.5f, -1.25f}) record.add_sampling_logprobs(logprob);
  record.set_text(text);
  record.set_seed(18446744073709551615u);
  record.set_finish_reason(v1::FINISH_REASON_STOP);
  record.set_tenant("default");
  record.set_created_ms(1000);
  return record;
}

/// The continuation `text` of the raw text `prompt`.
inline v1::RecordRequest RawAnswer(const std::string& id, const std::string& prompt,
                                   const std::string& text) {
  v1::RecordRequest record = ChatAnswer(id, "", text);
  record.clear_messages();
  record.set_prompt(prompt);
  return record;
}

inline v1::Vote ThumbVote(v1::Thumb thumb) {
  v1::Vote vote;
  vote.set_thumb(thumb);
  return vote;
}

inline v1::Vote StarsVote(uint32_t stars) {
  v1::Vote vote;
  vote.set_stars(stars);
  return vote;
}

inline v1::Vote CorrectionVote(const std::string& correction) {
  v1::Vote vote;
  vote.set_correction(correction);
  return vote;
}

inline v1::Vote PreferenceVote(const std::string& other_id, const std::string& other_token,
                               v1::Preference::Outcome outcome) {
  v1::Vote vote;
  vote.mutable_preference()->set_other_response_id(other_id);
  vote.mutable_preference()->set_other_vote_token(other_token);
  vote.mutable_preference()->set_outcome(outcome);
  return vote;
}

inline v1::RateRequest Rating(const std::string& id, const std::string& token, const v1::Vote& vote) {
  v1::RateRequest rating;
  rating.set_response_id(id);
  rating.set_vote_token(token);
  *rating.mutable_vote() = vote;
  return rating;
}

/// A store in a folder of its own, with a signer and a clock that tests set.
class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }

  /// Opens the store, again after Close.
  void Open() {
    auto opened = platform::DurableStore::Open(folder_.path() + "/store");
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    durable_ = std::move(opened).value();
    store_ = std::make_unique<FeedbackStore>(*durable_);
  }

  void Close() {
    store_.reset();
    durable_.reset();
  }

  Result<Committed> CommitOne(Change change) {
    const Change changes[] = {std::move(change)};
    return std::move(store_->Commit(changes).front());
  }

  /// Stores the answer and returns its vote token; empty when it was refused.
  std::string Record(v1::RecordRequest record) {
    auto change = PrepareRecord(std::move(record), now_ms_);
    if (!change.ok()) return "";
    auto committed = CommitOne(std::move(change).value());
    return committed.ok() ? signer_.Sign(committed->claims) : "";
  }

  /// Checks and stores a rating, as the service does.
  Result<std::string> Rate(const v1::RateRequest& rating, const std::string& tenant = "default") {
    CONCLAVE_ASSIGN_OR_RETURN(RateChange change, PrepareRating(signer_, rating, tenant, now_ms_));
    CONCLAVE_ASSIGN_OR_RETURN(const Committed committed, CommitOne(std::move(change)));
    return committed.rating_id;
  }

  Result<std::string> Rate(const std::string& id, const std::string& token, const v1::Vote& vote) {
    return Rate(Rating(id, token, vote));
  }

  /// Every line of an export, or the error as the only one.
  std::vector<v1::ExportResponse> Export(v1::ExportFormat format,
                                         v1::ExportStyle style = v1::EXPORT_STYLE_UNSPECIFIED,
                                         const std::string& tenant = "default", int64_t since_ms = 0) {
    v1::ExportRequest request;
    request.set_format(format);
    request.set_style(style);
    request.set_tenant(tenant);
    request.set_since_ms(since_ms);
    ExportCursor cursor(*durable_, request);
    return Drain(cursor);
  }

  static std::vector<v1::ExportResponse> Drain(ExportCursor& cursor) {
    std::vector<v1::ExportResponse> lines;
    while (!cursor.done()) {
      auto line = cursor.Next();
      if (!line.ok()) {
        ADD_FAILURE() << line.status().ToString();
        return lines;
      }
      if (*line) lines.push_back(**line);
    }
    return lines;
  }

  TemporaryFolder folder_;
  VoteTokenSigner signer_{std::string(32, 'k')};
  int64_t now_ms_ = 1'700'000'000'000;
  std::unique_ptr<platform::DurableStore> durable_;
  std::unique_ptr<FeedbackStore> store_;
};

}  // namespace conclave::feedback
