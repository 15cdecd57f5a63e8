#pragma once

#include <any>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "platform/rpc/call_context.h"
#include "platform/rpc/client_call.h"
#include "platform/rpc/local_stream.h"
#include "platform/rpc/server_call.h"

namespace conclave::platform {

/// The bidirectional streams that the services of a process offer to one another without gRPC: the same
/// messages and handles, handed over by function calls. Where every token passes several services, gRPC's
/// hand-overs between threads cost more than the work (docs/decisions/0018). Any thread may call.
class LocalStreams {
 public:
  template <typename Request, typename Response>
  using Handler =
      std::function<void(const CallContext&, std::shared_ptr<BidiServerStream<Request, Response>>)>;

  ~LocalStreams() { Close(); }

  /// `handler` serves the method that takes Requests, from now on until Close. It writes nothing before it
  /// returns.
  template <typename Request, typename Response>
  void Offer(Handler<Request, Response> handler) {
    std::lock_guard lock(mutex_);
    handlers_.insert_or_assign(NameOf<Request>(), std::any(std::move(handler)));
  }

  template <typename Request>
  bool Offers() const {
    std::lock_guard lock(mutex_);
    return handlers_.contains(NameOf<Request>());
  }

  /// Opens a stream of the method that takes Requests. Callbacks run on the threads of those who write,
  /// on_done on that of whoever ends the stream; `options` bound what the server has not taken. Errors:
  /// UNAVAILABLE (not offered, or no longer), what the handler ended the stream with.
  template <typename Request, typename Response>
  Result<std::shared_ptr<ClientBidiStream<Request, Response>>> Start(
      typename ClientBidiStream<Request, Response>::Callbacks callbacks, const StreamOptions& options = {}) {
    using Stream = detail::LocalStream<Request, Response>;
    auto stream = std::make_shared<Stream>(
        typename Stream::ClientCallbacks{std::move(callbacks.on_message), std::move(callbacks.on_done),
                                         std::move(callbacks.on_writable)},
        options);
    CONCLAVE_ASSIGN_OR_RETURN(const std::any offered, Register(NameOf<Request>(), stream));
    const auto* handler = std::any_cast<Handler<Request, Response>>(&offered);
    if (handler == nullptr) return Internal(NameOf<Request>() + " is answered with other messages");
    CONCLAVE_RETURN_IF_ERROR(stream->Begin([&] {
      (*handler)(LocalCall(), std::make_shared<BidiServerStream<Request, Response>>(stream->server_end()));
    }));
    return std::make_shared<ClientBidiStream<Request, Response>>(stream->client_end());
  }

  /// Ends every stream with UNAVAILABLE, and offers nothing more; when it returns, no callback runs. Before
  /// the services go.
  void Close();

 private:
  /// Every method has a request of its own, so that its name is the method's.
  template <typename Request>
  static const std::string& NameOf() {
    return Request::descriptor()->full_name();
  }

  static CallContext LocalCall();
  Result<std::any> Register(const std::string& request, std::weak_ptr<detail::LocalStreamBase> stream);

  mutable std::mutex mutex_;
  std::map<std::string, std::any> handlers_;                  // guarded by mutex_
  std::vector<std::weak_ptr<detail::LocalStreamBase>> open_;  // guarded by mutex_
};

}  // namespace conclave::platform
