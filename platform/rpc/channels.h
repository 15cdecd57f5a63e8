#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <grpcpp/channel.h>

#include "base/result.h"
#include "platform/config/config.h"
#include "platform/rpc/local_streams.h"

namespace conclave::platform {

/// Opens a channel to "unix:PATH", "HOST:PORT" or "dns:///HOST:PORT". It connects when first used. TCP uses
/// TLS when `tls` has a certificate or an authority, unless the host is a loopback address and `tls` is
/// empty. Errors: INVALID_ARGUMENT (an address that is none of these, or an unreadable TLS file).
Result<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& address, const TlsConfig& tls,
                                                   size_t max_message_bytes);

/// Where each service is, for a process's modules. Channels are opened once, when first asked for, and
/// shared. Any thread may call.
class ChannelRegistry {
 public:
  /// `addresses`: service name to one or more addresses, as Config::AddressesOf gives them.
  ChannelRegistry(std::map<std::string, std::vector<std::string>> addresses, TlsConfig tls,
                  size_t max_message_bytes);

  /// Says what "inproc:NAME" means; called once the server named so runs. Earlier calls of Get for it fail.
  void BindInProcess(const std::string& name, std::shared_ptr<grpc::Channel> channel);

  /// The channel to a service; to its first address when it has several.
  /// Errors: NOT_FOUND (no such service is configured), FAILED_PRECONDITION (its in-process server does not
  /// run yet), INVALID_ARGUMENT.
  Result<std::shared_ptr<grpc::Channel>> Get(const std::string& service);

  /// The same, and null when no such service is configured: an installation may lack it.
  Result<std::shared_ptr<grpc::Channel>> GetOptional(const std::string& service);

  /// One channel for each address of a service, in the order of the configuration.
  Result<std::vector<std::shared_ptr<grpc::Channel>>> All(const std::string& service);

  /// Whether the service's first address is in this process.
  bool IsInProcess(const std::string& service) const;

  /// What services of this process offer to each other without gRPC. Close it before they go.
  LocalStreams& local() { return local_; }

 private:
  Result<std::shared_ptr<grpc::Channel>> OpenLocked(const std::string& address);

  const std::map<std::string, std::vector<std::string>> addresses_;
  const TlsConfig tls_;
  const size_t max_message_bytes_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> open_;  // by address; guarded by mutex_
  LocalStreams local_;
};

}  // namespace conclave::platform
