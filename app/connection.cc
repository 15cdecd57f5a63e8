#include "app/connection.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "app/thread_room.h"
#include "platform/log/log.h"
#include "platform/rpc/channels.h"
#include "platform/rpc/limits.h"

namespace conclave::app {
namespace {

constexpr std::chrono::milliseconds kStateDelay{100};

/// One process with only these services and no sockets.
platform::Config Narrow(platform::Config config, std::vector<std::string> services) {
  platform::ProcessConfig process{.name = "local", .services = std::move(services)};
  config.processes = {std::move(process)};
  return config;
}

std::vector<std::string> Names(Connection::Services services) {
  switch (services) {
    case Connection::Services::kAll:
      return {std::begin(platform::kServiceNames), std::end(platform::kServiceNames)};
    case Connection::Services::kGeneration: return {"tokenizer", "experts", "decoder", "router"};
    case Connection::Services::kRetriever: return {"retriever"};
    case Connection::Services::kFeedback: return {"feedback"};
  }
  return {};
}

/// Until the server at the other end answers; at once when nobody listens there. Errors: UNAVAILABLE.
Status WaitUntilConnected(grpc::Channel& channel, const std::string& address) {
  const std::chrono::milliseconds timeout(platform::kConnectTimeoutMs);
  const auto deadline = std::chrono::system_clock::now() + timeout;
  for (auto state = channel.GetState(true); state != GRPC_CHANNEL_READY; state = channel.GetState(true)) {
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || !channel.WaitForStateChange(state, deadline)) {
      return Unavailable("no server can be reached at " + address +
                         "; is `conclave serve` running there, with TLS or without as here?");
    }
  }
  return Status::Ok();
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::Open(const CommonFlags& flags, Services services) {
  CONCLAVE_ASSIGN_OR_RETURN(platform::Config config, flags.LoadConfig());
  if (flags.connect.empty()) return Start(std::move(config), services);
  CONCLAVE_RETURN_IF_ERROR(CheckThreadRoom(kLibraryThreads));
  std::unique_ptr<Connection> connection(new Connection);
  CONCLAVE_ASSIGN_OR_RETURN(
      connection->channel_,
      platform::OpenChannel(flags.connect, config.tls, static_cast<size_t>(config.limits.message_bytes)));
  CONCLAVE_RETURN_IF_ERROR(WaitUntilConnected(*connection->channel_, flags.connect));
  connection->address_ = flags.connect;
  return connection;
}

Status Connection::Explain(const Status& status) const {
  if (status.code() != StatusCode::kUnavailable || address_.empty()) return status;
  // A call may learn of a broken connection before its channel does.
  const bool lost =
      channel_->WaitForStateChange(GRPC_CHANNEL_READY, std::chrono::system_clock::now() + kStateDelay);
  return lost ? Unavailable("the server at " + address_ + " is gone") : status;
}

Result<std::unique_ptr<Connection>> Connection::Start(platform::Config config, Services services) {
  std::unique_ptr<Connection> connection(new Connection);
  // The command speaks for itself; the services below it only when something is wrong.
  config.log.level = std::max(config.log.level, platform::LogLevel::kWarning);
  platform::ConfigureLog(config.log);
  config = Narrow(std::move(config), Names(services));
  if (services == Services::kGeneration) {
    CONCLAVE_ASSIGN_OR_RETURN(connection->temporary_folder_, TemporaryFolder::Make());
    config.data_dir = connection->temporary_folder_->path();
    config.state = {};
    config.limits.prefix_disk_bytes = 0;  // Nobody comes back to that folder.
  }
  auto runtime = Runtime::Start(config, "local", false);
  if (!runtime.ok()) {
    const Status& status = runtime.status();
    const bool locked = status.code() == StatusCode::kFailedPrecondition &&
                        status.message().find("in use") != std::string::npos;
    if (!locked) return status;
    return FailedPrecondition(status.message() +
                              "; if that is a running server, add --connect 127.0.0.1:7400");
  }
  connection->runtime_ = *std::move(runtime);
  connection->channel_ = connection->runtime_->InProcessChannel();
  return connection;
}

}  // namespace conclave::app
