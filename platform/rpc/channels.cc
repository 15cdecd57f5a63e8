#include "platform/rpc/channels.h"

#include <utility>

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include "platform/config/address.h"
#include "platform/rpc/credentials.h"
#include "platform/rpc/grpc_runtime.h"
#include "platform/rpc/limits.h"

namespace conclave::platform {

Result<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& address, const TlsConfig& tls,
                                                   size_t max_message_bytes) {
  CONCLAVE_ASSIGN_OR_RETURN(const Address parsed, ParseAddress(address));
  if (parsed.kind == Address::Kind::kInProcess) {
    return InvalidArgument("address \"" + address + "\": only a process's own modules can use inproc");
  }
  if (parsed.kind == Address::Kind::kTcp && parsed.port == 0) {
    return InvalidArgument("address \"" + address + "\": port 0 cannot be connected to");
  }
  CONCLAVE_ASSIGN_OR_RETURN(auto credentials, ChannelCredentialsFor(parsed, tls));
  KeepGrpcRunning();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(max_message_bytes));
  arguments.SetMaxSendMessageSize(static_cast<int>(max_message_bytes));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kLastReconnectMs);
  // In spite of its name this is how long an attempt may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  const std::string target =
      parsed.kind == Address::Kind::kUnix ? parsed.ToString() : "dns:///" + parsed.ToString();
  return grpc::CreateCustomChannel(target, credentials, arguments);
}

ChannelRegistry::ChannelRegistry(std::map<std::string, std::vector<std::string>> addresses, TlsConfig tls,
                                 size_t max_message_bytes)
    : addresses_(std::move(addresses)), tls_(std::move(tls)), max_message_bytes_(max_message_bytes) {}

void ChannelRegistry::BindInProcess(const std::string& name, std::shared_ptr<grpc::Channel> channel) {
  std::lock_guard lock(mutex_);
  open_["inproc:" + name] = std::move(channel);
}

Result<std::shared_ptr<grpc::Channel>> ChannelRegistry::OpenLocked(const std::string& address) {
  const auto known = open_.find(address);
  if (known != open_.end()) return known->second;
  if (address.starts_with("inproc:")) {
    return FailedPrecondition("the server of this process does not run yet; use its channel after Start");
  }
  CONCLAVE_ASSIGN_OR_RETURN(auto channel, OpenChannel(address, tls_, max_message_bytes_));
  open_.emplace(address, channel);
  return channel;
}

Result<std::vector<std::shared_ptr<grpc::Channel>>> ChannelRegistry::All(const std::string& service) {
  const auto entry = addresses_.find(service);
  if (entry == addresses_.end() || entry->second.empty()) {
    return NotFound("no process of the configuration has the service \"" + service + "\"");
  }
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (const std::string& address : entry->second) {
    CONCLAVE_ASSIGN_OR_RETURN(auto channel, OpenLocked(address));
    channels.push_back(std::move(channel));
  }
  return channels;
}

Result<std::shared_ptr<grpc::Channel>> ChannelRegistry::Get(const std::string& service) {
  CONCLAVE_ASSIGN_OR_RETURN(auto channels, All(service));
  return channels.front();
}

Result<std::shared_ptr<grpc::Channel>> ChannelRegistry::GetOptional(const std::string& service) {
  auto channel = Get(service);
  if (!channel.ok() && channel.status().code() == StatusCode::kNotFound)
    return std::shared_ptr<grpc::Channel>();
  return channel;
}

bool ChannelRegistry::IsInProcess(const std::string& service) const {
  const auto entry = addresses_.find(service);
  return entry != addresses_.end() && !entry->second.empty() && entry->second.front().starts_with("inproc:");
}

}  // namespace conclave::platform
