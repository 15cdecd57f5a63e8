#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "platform/rpc/channels.h"
#include "platform/rpc/server.h"
#include "services/router/feedback_forward.h"
#include "services/router/retriever_forward.h"
#include "services/router/tokenizer_forward.h"

namespace conclave::router {

/// The public services that a router answers for because they do not live in its process: a service of the
/// same process is on its server already. Any thread may call.
class Forwards {
 public:
  /// Opens the channels, which connect when first used. Errors: INVALID_ARGUMENT (a bad address, an
  /// unreadable TLS file).
  static Result<Forwards> Make(platform::ChannelRegistry& channels);

  /// What to register. A service that no process has is there without a name: its calls are told which key of
  /// the configuration is missing, but health does not know it.
  std::vector<platform::NamedService> services() const;

  /// No forwarded call is under way.
  bool idle() const;

 private:
  std::unique_ptr<FeedbackForward> feedback_;    // null: lives in this process
  std::unique_ptr<RetrieverForward> retriever_;  // the same
  std::unique_ptr<TokenizerForward> tokenizer_;  // the same
};

}  // namespace conclave::router
