#pragma once

#include <functional>
#include <string>
#include <vector>

#include <caf/all.hpp>

#include "platform/state/state_store.h"
#include "services/router/session.h"

namespace conclave::router {

struct LoadSessionMessage {
  std::string tenant;
  std::string id;
  std::function<void(Result<Session>)> done;
};
/// Adds messages to the session as it is by then, or to a new one.
struct AppendToSessionMessage {
  std::string tenant;
  std::string id;
  std::vector<v1::ChatMessage> turn;
  std::function<void(Status)> done;
};
struct DeleteSessionMessage {
  std::string tenant;
  std::string id;
  std::function<void(Status)> done;
};

/// Keeps sessions in the state store. Detached, because the store's calls block.
class SessionActor : public caf::event_based_actor {
 public:
  /// `ttl_ms`: how long a session lives after its last use.
  SessionActor(caf::actor_config& config, platform::StateStore& store, int64_t ttl_ms);

  caf::behavior make_behavior() override;
  const char* name() const override { return "session"; }

 private:
  Result<Session> Load(const std::string& tenant, const std::string& id);
  Status Append(const AppendToSessionMessage& message);
  Status Delete(const std::string& tenant, const std::string& id);

  platform::StateStore& store_;
  int64_t ttl_ms_;
};

}  // namespace conclave::router

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::LoadSessionMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::AppendToSessionMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::DeleteSessionMessage)
