#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/channel.h>

#include "app/child_server.h"
#include "platform/config/config.h"

namespace conclave::app {

/// An installation of several processes of this program on this machine; they end with it. One thread.
class ChildProcesses {
 public:
  struct Process {
    std::string name;
    std::vector<std::string> services;
    std::vector<int64_t> experts = {};  ///< empty: all
    int64_t threads = 0;                ///< 0: as configured
    bool tcp = false;                   ///< on a loopback port instead of a Unix socket
  };

  /// Keeps what they store, and their sockets, below `folder`, and nothing else of `config` than its model,
  /// home, threads and the limits of decoders. Waits until all are ready. Errors: as ChildServer.
  static Result<std::unique_ptr<ChildProcesses>> Start(const platform::Config& config,
                                                       const std::filesystem::path& folder,
                                                       const std::vector<Process>& processes);

  /// Where the process of this name listens.
  const std::string& address(const std::string& name) const;
  /// A channel to it. Errors: as OpenChannel.
  Result<std::shared_ptr<grpc::Channel>> Open(const std::string& name) const;

 private:
  struct Child {
    std::string name;
    std::string address;
    std::unique_ptr<ChildServer> server;
  };

  explicit ChildProcesses(size_t most_message_bytes) : most_message_bytes_(most_message_bytes) {}

  size_t most_message_bytes_;
  std::vector<Child> children_;
};

}  // namespace conclave::app
