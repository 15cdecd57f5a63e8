#include "services/router/session_actor.h"

#include "platform/identity.h"

namespace conclave::router {

SessionActor::SessionActor(caf::actor_config& config, platform::StateStore& store, int64_t ttl_ms)
    : caf::event_based_actor(config), store_(store), ttl_ms_(ttl_ms) {}

caf::behavior SessionActor::make_behavior() {
  return {
      [this](const LoadSessionMessage& message) { message.done(Load(message.tenant, message.id)); },
      [this](const AppendToSessionMessage& message) { message.done(Append(message)); },
      [this](const DeleteSessionMessage& message) { message.done(Delete(message.tenant, message.id)); },
  };
}

Result<Session> SessionActor::Load(const std::string& tenant, const std::string& id) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::string key, SessionKey(tenant, id));
  CONCLAVE_ASSIGN_OR_RETURN(const auto bytes, store_.Get(key));
  if (!bytes.has_value()) return NotFound("there is no session '" + id + "'");
  return DecodeSession(*bytes);
}

Status SessionActor::Append(const AppendToSessionMessage& message) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::string key, SessionKey(message.tenant, message.id));
  Result<Session> stored = Load(message.tenant, message.id);
  if (!stored.ok() && stored.status().code() != StatusCode::kNotFound) return stored.status();
  Session session = stored.ok() ? *std::move(stored) : Session{};
  session.updated_ms = platform::NowMs();
  if (session.created_ms == 0) session.created_ms = session.updated_ms;
  session.messages.insert(session.messages.end(), message.turn.begin(), message.turn.end());
  TrimSession(session);
  return store_.Put(key, EncodeSession(session), ttl_ms_);
}

Status SessionActor::Delete(const std::string& tenant, const std::string& id) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::string key, SessionKey(tenant, id));
  CONCLAVE_ASSIGN_OR_RETURN(const bool existed, store_.Delete(key));
  return existed ? Status::Ok() : NotFound("there is no session '" + id + "'");
}

}  // namespace conclave::router
