#include "services/router/session.h"

#include <algorithm>

#include "conclave/v1/router.pb.h"
#include "services/router/limits.h"

namespace conclave::router {
namespace {

size_t Bytes(const Session& session) {
  size_t bytes = 0;
  for (const auto& message : session.messages) bytes += message.content().size();
  return bytes;
}

bool IsQuestion(const v1::ChatMessage& message) { return message.role() == v1::ROLE_USER; }

bool HasRole(const v1::ChatMessage& message) {
  return v1::Role_IsValid(message.role()) && message.role() != v1::ROLE_UNSPECIFIED;
}

}  // namespace

Result<std::string> SessionKey(const std::string& tenant, const std::string& id) {
  const bool clean = std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  if (id.empty() || id.size() > kMostIdBytes || !clean) {
    return InvalidArgument("session_id must be 1 to " + std::to_string(kMostIdBytes) +
                           " letters, digits, '-' or '_'");
  }
  // A tenant's name holds no '/', so two tenants' keys never meet.
  return "session/" + tenant + "/" + id;
}

std::string EncodeSession(const Session& session) {
  v1::GetSessionResponse stored;
  for (const auto& message : session.messages) *stored.add_messages() = message;
  stored.set_created_ms(session.created_ms);
  stored.set_updated_ms(session.updated_ms);
  return stored.SerializeAsString();
}

Result<Session> DecodeSession(const std::string& bytes) {
  v1::GetSessionResponse stored;
  const bool parsed = stored.ParseFromString(bytes);
  const bool readable = parsed && std::all_of(stored.messages().begin(), stored.messages().end(), HasRole);
  if (!readable) return DataLoss("a stored session cannot be read; delete it to begin anew");
  Session session{.messages = {stored.messages().begin(), stored.messages().end()},
                  .created_ms = stored.created_ms(),
                  .updated_ms = stored.updated_ms()};
  TrimSession(session);
  return session;
}

void TrimSession(Session& session) {
  auto& messages = session.messages;
  const size_t first = !messages.empty() && messages.front().role() == v1::ROLE_SYSTEM ? 1 : 0;
  size_t bytes = Bytes(session);
  size_t drop = first;
  while (drop < messages.size() &&
         (messages.size() - (drop - first) > kMostSessionMessages || bytes > kMostSessionBytes)) {
    bytes -= messages[drop++].content().size();
  }
  auto kept = messages.begin() + static_cast<int64_t>(drop);
  if (drop > first) {
    const auto question = std::find_if(kept, messages.end(), IsQuestion);
    if (question != messages.end()) kept = question;
  }
  messages.erase(messages.begin() + static_cast<int64_t>(first), kept);
}

}  // namespace conclave::router
