#include "services/feedback/checks.h"

#include <cmath>
#include <string>

#include "base/result.h"
#include "base/utf8.h"
#include "services/feedback/limits.h"

namespace conclave::feedback {
namespace {

bool IsIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

Status CheckText(std::string_view text, size_t max_bytes, std::string_view field) {
  if (text.size() > max_bytes) {
    return InvalidArgument(std::string(field) + " has " + std::to_string(text.size()) + " bytes: at most " +
                           std::to_string(max_bytes) + " are kept");
  }
  const size_t valid = ValidUtf8Prefix(text);
  if (valid != text.size()) {
    return InvalidArgument(std::string(field) + " is not UTF-8 at byte " + std::to_string(valid));
  }
  return Status::Ok();
}

Status CheckMessages(const v1::RecordRequest& record) {
  if (record.messages_size() > static_cast<int>(kMaxMessages)) {
    return InvalidArgument("messages has " + std::to_string(record.messages_size()) + " turns: at most " +
                           std::to_string(kMaxMessages) + " are kept");
  }
  for (int i = 0; i < record.messages_size(); ++i) {
    const v1::ChatMessage& message = record.messages(i);
    const std::string field = "messages[" + std::to_string(i) + "]";
    if (message.role() == v1::ROLE_UNSPECIFIED || !v1::Role_IsValid(message.role())) {
      return InvalidArgument(field + ".role is not one of system, user, assistant, tool");
    }
    CONCLAVE_RETURN_IF_ERROR(CheckText(message.content(), kMaxRecordBytes, field + ".content"));
  }
  return Status::Ok();
}

Status CheckPrompt(const v1::RecordRequest& record) {
  if (record.messages_size() > 0 && !record.prompt().empty()) {
    return InvalidArgument("messages and prompt are both set: an answer continues one of them");
  }
  if (record.messages_size() == 0 && record.prompt().empty() && record.prompt_token_ids_size() == 0) {
    return InvalidArgument("there is no prompt: set messages, prompt or prompt_token_ids");
  }
  CONCLAVE_RETURN_IF_ERROR(CheckText(record.prompt(), kMaxRecordBytes, "prompt"));
  return CheckMessages(record);
}

Status CheckLogprobs(const v1::RecordRequest& record) {
  if (record.sampling_logprobs_size() != record.token_ids_size()) {
    return InvalidArgument("sampling_logprobs has " + std::to_string(record.sampling_logprobs_size()) +
                           " values for " + std::to_string(record.token_ids_size()) + " token_ids");
  }
  for (int i = 0; i < record.sampling_logprobs_size(); ++i) {
    if (!std::isfinite(record.sampling_logprobs(i))) {
      return InvalidArgument("sampling_logprobs[" + std::to_string(i) + "] is not a finite number");
    }
  }
  return Status::Ok();
}

Status CheckSources(const v1::RecordRequest& record) {
  if (record.sources_size() > static_cast<int>(kMaxSources)) {
    return InvalidArgument("sources has " + std::to_string(record.sources_size()) + " entries: at most " +
                           std::to_string(kMaxSources) + " are kept");
  }
  for (const std::string& source : record.sources()) {
    CONCLAVE_RETURN_IF_ERROR(CheckText(source, kMaxRecordBytes, "sources"));
  }
  return Status::Ok();
}

Status CheckPreference(const v1::Preference& preference, std::string_view response_id) {
  CONCLAVE_RETURN_IF_ERROR(CheckId(preference.other_response_id(), "vote.preference.other_response_id"));
  if (preference.other_response_id() == response_id) {
    return InvalidArgument("a response cannot be compared with itself: name two different answers");
  }
  if (preference.outcome() == v1::Preference::OUTCOME_UNSPECIFIED ||
      !v1::Preference::Outcome_IsValid(preference.outcome())) {
    return InvalidArgument("vote.preference.outcome does not say which answer is better, or that they tie");
  }
  return Status::Ok();
}

Status CheckVote(const v1::Vote& vote, std::string_view response_id) {
  switch (vote.vote_case()) {
    case v1::Vote::kThumb:
      if (vote.thumb() == v1::THUMB_GOOD || vote.thumb() == v1::THUMB_BAD) return Status::Ok();
      return InvalidArgument("vote.thumb is neither good nor bad");
    case v1::Vote::kStars:
      if (vote.stars() >= kMinStars && vote.stars() <= kMaxStars) return Status::Ok();
      return InvalidArgument("vote.stars is " + std::to_string(vote.stars()) +
                             ": give 1 (worst) to 5 (best)");
    case v1::Vote::kPreference: return CheckPreference(vote.preference(), response_id);
    case v1::Vote::kCorrection:
      if (vote.correction().empty())
        return InvalidArgument("vote.correction is empty: say how it should have read");
      return CheckText(vote.correction(), kMaxCorrectionBytes, "vote.correction");
    case v1::Vote::VOTE_NOT_SET: break;
  }
  return InvalidArgument("there is no vote: set one of thumb, stars, preference, correction");
}

}  // namespace

Status CheckId(std::string_view id, std::string_view field) {
  bool good = !id.empty() && id.size() <= kMaxIdBytes;
  for (char c : id.substr(0, kMaxIdBytes)) good = good && IsIdCharacter(c);
  if (good) return Status::Ok();
  return InvalidArgument(std::string(field) + " is not 1 to " + std::to_string(kMaxIdBytes) +
                         " letters, digits, '-' or '_'");
}

Status CheckRecord(const v1::RecordRequest& record) {
  CONCLAVE_RETURN_IF_ERROR(CheckId(record.response_id(), "response_id"));
  if (record.ByteSizeLong() > kMaxRecordBytes) {
    return InvalidArgument("the answer has " + std::to_string(record.ByteSizeLong()) + " bytes: at most " +
                           std::to_string(kMaxRecordBytes) + " are kept");
  }
  CONCLAVE_RETURN_IF_ERROR(CheckText(record.tenant(), kMaxIdBytes, "tenant"));
  CONCLAVE_RETURN_IF_ERROR(CheckText(record.session_id(), kMaxIdBytes, "session_id"));
  CONCLAVE_RETURN_IF_ERROR(CheckText(record.text(), kMaxRecordBytes, "text"));
  CONCLAVE_RETURN_IF_ERROR(CheckPrompt(record));
  CONCLAVE_RETURN_IF_ERROR(CheckSources(record));
  return CheckLogprobs(record);
}

Status CheckRating(const v1::RateRequest& rating) {
  CONCLAVE_RETURN_IF_ERROR(CheckId(rating.response_id(), "response_id"));
  CONCLAVE_RETURN_IF_ERROR(CheckVote(rating.vote(), rating.response_id()));
  return CheckText(rating.comment(), kMaxCommentBytes, "comment");
}

}  // namespace conclave::feedback
