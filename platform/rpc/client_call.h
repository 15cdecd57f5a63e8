#pragma once

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include <grpcpp/support/client_callback.h>

#include "base/result.h"
#include "platform/rpc/client_reactors.h"
#include "platform/rpc/message_queue.h"
#include "platform/rpc/status_mapping.h"

/// The client's half of the bridge, over the generated stubs' async() interface:
///
///     using Async = TokenizerService::StubInterface::async_interface;
///     CallUnary(stub->async(), &Async::RenderChat, ClientContextFor(call, 5s), request,
///               [](Result<RenderChatResponse> response) { ... });
///
/// Callbacks run on gRPC's threads and must not block or throw. The stub need only live until the call has
/// started.
namespace conclave::platform {

/// A unary call under way. It goes on when the handle is dropped.
class UnaryCall {
 public:
  explicit UnaryCall(std::shared_ptr<grpc::ClientContext> context) : context_(std::move(context)) {}
  /// The callback then gets CANCELLED, unless the answer came first.
  void Cancel() { context_->TryCancel(); }

 private:
  std::shared_ptr<grpc::ClientContext> context_;
};

/// Starts a unary call; `callback(Result<Response>)` runs exactly once.
template <typename Async, typename Request, typename Response>
UnaryCall CallUnary(std::type_identity_t<Async>* async,
                    void (Async::*method)(grpc::ClientContext*, const Request*, Response*,
                                          std::function<void(grpc::Status)>),
                    std::unique_ptr<grpc::ClientContext> context, std::type_identity_t<Request> request,
                    std::function<void(Result<std::type_identity_t<Response>>)> callback) {
  struct Call {
    std::shared_ptr<grpc::ClientContext> context;
    Request request;
    Response response;
  };
  auto call = std::make_shared<Call>(Call{std::move(context), std::move(request), {}});
  (async->*method)(call->context.get(), &call->request, &call->response,
                   [call, callback = std::move(callback)](const grpc::Status& status) {
                     if (status.ok()) return callback(std::move(call->response));
                     callback(FromGrpcStatus(status, call->context.get()));
                   });
  return UnaryCall(call->context);
}

/// A stream that the server writes. Dropping the last handle cancels the call. Any thread may call.
template <typename Response>
class ClientStreamReader {
 public:
  struct Callbacks {
    /// For each message, one at a time, in order.
    std::function<void(Response)> on_message;
    /// Exactly once, as the last one.
    std::function<void(Status)> on_done;
  };

  /// Starts a call of `&Async::Method`.
  template <typename Async, typename Request>
  static std::shared_ptr<ClientStreamReader> Start(std::type_identity_t<Async>* async,
                                                   void (Async::*method)(grpc::ClientContext*, const Request*,
                                                                         grpc::ClientReadReactor<Response>*),
                                                   std::unique_ptr<grpc::ClientContext> context,
                                                   const std::type_identity_t<Request>& request,
                                                   Callbacks callbacks) {
    auto reactor = std::make_shared<detail::ClientReader<Response>>(
        std::move(context), std::move(callbacks.on_message), std::move(callbacks.on_done));
    (async->*method)(reactor->context(), &request, reactor.get());
    reactor->Begin();
    return std::make_shared<ClientStreamReader>(std::move(reactor));
  }

  explicit ClientStreamReader(std::shared_ptr<detail::ClientReader<Response>> reactor)
      : reactor_(std::move(reactor)) {}
  ~ClientStreamReader() { reactor_->Cancel(); }
  ClientStreamReader(const ClientStreamReader&) = delete;

  /// on_done then gets CANCELLED, unless the stream ended first.
  void Cancel() { reactor_->Cancel(); }
  /// Back-pressure: after the message in hand none is read until ResumeReading. The stream's end is not seen
  /// either.
  void PauseReading() { reactor_->PauseReading(); }
  void ResumeReading() { reactor_->ResumeReading(); }

 private:
  std::shared_ptr<detail::ClientReader<Response>> reactor_;
};

/// A bidirectional stream. Dropping the last handle cancels the call. Any thread may call.
template <typename Request, typename Response>
class ClientBidiStream {
 public:
  struct Callbacks {
    /// For each message, one at a time, in order.
    std::function<void(Response)> on_message;
    /// Exactly once, as the last one.
    std::function<void(Status)> on_done;
    /// Each time an open stream has become writable again. May be empty.
    std::function<void()> on_writable = nullptr;
  };

  /// Starts a call of `&Async::Method`.
  template <typename Async>
  static std::shared_ptr<ClientBidiStream> Start(
      std::type_identity_t<Async>* async,
      void (Async::*method)(grpc::ClientContext*, grpc::ClientBidiReactor<Request, Response>*),
      std::unique_ptr<grpc::ClientContext> context, Callbacks callbacks, const StreamOptions& options = {}) {
    auto reactor = std::make_shared<detail::ClientBidi<Request, Response>>(
        std::move(context), std::move(callbacks.on_message), std::move(callbacks.on_done),
        std::move(callbacks.on_writable), options);
    (async->*method)(reactor->context(), reactor.get());
    reactor->Begin();
    return std::make_shared<ClientBidiStream>(std::move(reactor));
  }

  explicit ClientBidiStream(std::shared_ptr<detail::ClientBidiEnd<Request>> end) : end_(std::move(end)) {}
  ~ClientBidiStream() { end_->Cancel(); }
  ClientBidiStream(const ClientBidiStream&) = delete;

  /// Queues a message; never blocks. False when nothing more can be written: half-closed, cancelled, ended,
  /// or because this message found the queue full, which cancels the call; on_done then gets
  /// RESOURCE_EXHAUSTED.
  bool Write(Request request) { return end_->Write(std::move(request)); }
  /// Back-pressure: false from when the queue is more than half full until it is at most a quarter full, and
  /// when nothing more can be written.
  bool writable() const { return end_->writable(); }
  /// Tells the server, after what is queued, that nothing more will be written.
  void HalfClose() { end_->HalfClose(); }
  /// on_done then gets CANCELLED, unless the stream ended first.
  void Cancel() { end_->Cancel(); }
  /// Back-pressure: after the message in hand none is read until ResumeReading. The stream's end is not seen
  /// either.
  void PauseReading() { end_->PauseReading(); }
  void ResumeReading() { end_->ResumeReading(); }

 private:
  std::shared_ptr<detail::ClientBidiEnd<Request>> end_;
};

}  // namespace conclave::platform
