#pragma once

#include <memory>
#include <string>

#include <grpcpp/channel.h>

#include "app/cli.h"
#include "app/runtime.h"
#include "app/temporary_folder.h"
#include "base/result.h"

namespace conclave::app {

/// A way to the services: a channel to a running server, or services that this process started for itself.
class Connection {
 public:
  /// Which services a command needs when it starts its own.
  enum class Services {
    kAll,         ///< all six, with the data folder of the configuration
    kGeneration,  ///< tokenizer, experts, decoder and router, with a temporary data folder: nothing is kept
    kRetriever,   ///< the retriever alone
    kFeedback,    ///< the feedback service alone
  };

  /// `flags.connect` decides. Errors: whatever stands in the way; a data folder that a running server holds
  /// is answered with the advice to use --connect.
  static Result<std::unique_ptr<Connection>> Open(const CommonFlags& flags, Services services);
  /// Services of this process, with what `config` says but its processes. Errors: as Open.
  static Result<std::unique_ptr<Connection>> Start(platform::Config config, Services services);

  std::shared_ptr<grpc::Channel> channel() const { return channel_; }

  /// `status` of a call over this connection; when the server of --connect is gone, that is said instead of
  /// what the transport says about it.
  Status Explain(const Status& status) const;

 private:
  Connection() = default;

  std::string address_;  ///< of --connect, or empty
  // The channel goes before the services, and these before their folder.
  std::unique_ptr<TemporaryFolder> temporary_folder_;
  std::unique_ptr<Runtime> runtime_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace conclave::app
