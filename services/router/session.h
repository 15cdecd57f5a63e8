#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "conclave/v1/common.pb.h"

namespace conclave::router {

/// A stored conversation.
struct Session {
  std::vector<v1::ChatMessage> messages;
  int64_t created_ms = 0;  ///< since 1970; 0 while it was never stored
  int64_t updated_ms = 0;
};

/// The state store's key of a tenant's session. Errors: INVALID_ARGUMENT when the id is not 1 to kMostIdBytes
/// letters, digits, '-' or '_'.
Result<std::string> SessionKey(const std::string& tenant, const std::string& id);

/// As the state store holds it, and back; a larger one than is kept today comes back trimmed. Errors:
/// DATA_LOSS when the bytes are not a session.
std::string EncodeSession(const Session& session);
Result<Session> DecodeSession(const std::string& bytes);

/// Drops the oldest messages (never the system message in front) until the session is within
/// kMostSessionMessages and kMostSessionBytes, and begins with a question if it has one: chat templates
/// refuse an answer in front.
void TrimSession(Session& session);

}  // namespace conclave::router
