#include "services/router/session_actor.h"

namespace conclave::router {

SessionActor::SessionActor(caf::actor_config& config, platform::StateStore& store, int64_t ttl_ms)
    : caf::event_based_actor(config), store_(store), ttl_ms_(ttl_ms) {}

caf::behavior SessionActor::make_behavior() {
  return {
      [this](const LoadSessionMessage& message) { message.done(Load(message.tenant, message.id)); },
      [this](const SaveSessionMessage& message) { message.done(Save(message)); },
      [this](const DeleteSessionMessage& message) { message.done(Delete(message.tenant, message.id)); },
  };
}

Result<Session> SessionActor::Load(const std::string& tenant, const std::string& id) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::string key, SessionKey(tenant, id));
  CONCLAVE_ASSIGN_OR_RETURN(const auto bytes, store_.Get(key));
  if (!bytes.has_value()) return NotFound("there is no session '" + id + "'");
  return DecodeSession(*bytes);
}

Status SessionActor::Save(const SaveSessionMessage& message) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::string key, SessionKey(message.tenant, message.id));
  return store_.Put(key, EncodeSession(message.session), ttl_ms_);
}

Status SessionActor::Delete(const std::string& tenant, const std::string& id) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::string key, SessionKey(tenant, id));
  CONCLAVE_ASSIGN_OR_RETURN(const bool existed, store_.Delete(key));
  return existed ? Status::Ok() : NotFound("there is no session '" + id + "'");
}

}  // namespace conclave::router
