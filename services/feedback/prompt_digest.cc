#include "services/feedback/prompt_digest.h"

#include <cstdint>
#include <string_view>

#include "services/feedback/vote_token.h"

namespace conclave::feedback {
namespace {

void AppendNumber(std::string& bytes, uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>((value >> shift) & 255);
}

/// With its length before it, so that no two lists of texts give the same bytes.
void AppendText(std::string& bytes, std::string_view text) {
  AppendNumber(bytes, text.size());
  bytes += text;
}

void AppendMessages(std::string& bytes, const v1::RecordRequest& record) {
  AppendText(bytes, "messages");
  AppendNumber(bytes, static_cast<uint64_t>(record.messages_size()));
  for (const v1::ChatMessage& message : record.messages()) {
    AppendNumber(bytes, static_cast<uint64_t>(message.role()));
    AppendText(bytes, message.content());
  }
}

void AppendTokens(std::string& bytes, const v1::RecordRequest& record) {
  AppendText(bytes, "tokens");
  AppendText(bytes, record.model().model_hash());
  AppendNumber(bytes, static_cast<uint64_t>(record.prompt_token_ids_size()));
  for (int32_t token : record.prompt_token_ids()) AppendNumber(bytes, static_cast<uint64_t>(token));
}

}  // namespace

std::string PromptDigest(const v1::RecordRequest& record) {
  std::string bytes;
  AppendText(bytes, record.tenant());
  AppendNumber(bytes, static_cast<uint64_t>(record.sources_size()));
  for (const std::string& source : record.sources()) AppendText(bytes, source);
  if (record.messages_size() > 0) {
    AppendMessages(bytes, record);
  } else if (!record.prompt().empty()) {
    AppendText(bytes, "text");
    AppendText(bytes, record.prompt());
  } else {
    AppendTokens(bytes, record);
  }
  return Sha256(bytes);
}

}  // namespace conclave::feedback
