#pragma once

#include <functional>
#include <memory>
#include <utility>

#include <grpcpp/support/server_callback.h>

#include "base/result.h"
#include "platform/rpc/call_context.h"
#include "platform/rpc/message_queue.h"
#include "platform/rpc/server_reactors.h"

/// The bridge from gRPC's callback reactors to plain functions: a service's face overrides the generated
/// CallbackService methods with one line each, for example
///
///     grpc::ServerWriteReactor<ChatResponse>* Chat(grpc::CallbackServerContext* context,
///                                                  const ChatRequest* request) override {
///       return ServeStream<ChatResponse>(context, [&](const CallContext& call, auto stream) {
///         caf::anon_send(router_, ChatMessage{call, *request, std::move(stream)});
///       });
///     }
///
/// A handler runs on one of gRPC's threads and must not block: it hands the reply or stream to an actor or a
/// thread and returns. Handles may be kept, copied and used on any thread, also after the call is over (then
/// they do nothing). An exception from a handler or callback ends the call with INTERNAL. When the last copy
/// of a handle goes without Finish, the call ends with INTERNAL.
namespace conclave::platform {

/// The reply of a unary call.
template <typename Response>
class UnaryReply {
 public:
  explicit UnaryReply(std::shared_ptr<detail::UnaryCore<Response>> core) : core_(std::move(core)) {}
  ~UnaryReply() { core_->Finish(detail::DroppedCall()); }
  UnaryReply(const UnaryReply&) = delete;

  /// Ends the call. Only the first Finish counts.
  void Finish(Result<Response> result) { core_->Finish(std::move(result)); }

  /// `callback` runs once when nobody waits for the reply any more: the client cancelled or vanished, or its
  /// deadline passed. At once when that has happened already. It is dropped by Finish.
  void OnCancel(std::function<void()> callback) { core_->OnCancel(std::move(callback)); }
  bool cancelled() const { return core_->cancelled(); }

 private:
  std::shared_ptr<detail::UnaryCore<Response>> core_;
};

/// The writing end of a server's stream.
template <typename Response>
class ServerStream {
 public:
  explicit ServerStream(std::shared_ptr<detail::ServerWriting<Response>> core) : core_(std::move(core)) {}
  ~ServerStream() { core_->Finish(detail::DroppedCall()); }
  ServerStream(const ServerStream&) = delete;

  /// Queues a message; never blocks. False when the stream is over: finished, cancelled, or because this
  /// message found the queue full, which ends the stream with RESOURCE_EXHAUSTED and drops what waits. A
  /// writer that can wait looks at writable() first.
  bool Write(Response response) { return core_->Write(std::move(response)); }

  /// Ends the stream after what is queued has been written. Only the first Finish counts.
  void Finish(Status status) { core_->Finish(std::move(status)); }

  /// Ends the stream without writing what is queued; OnCancel's callback runs. Does nothing after Finish.
  void Abort(Status status) { core_->Abort(std::move(status)); }

  /// `callback` runs once when nobody reads any more: the client cancelled or vanished, its deadline passed,
  /// the queue overflowed, or the stream was aborted. At once when that has happened already. It is dropped
  /// by Finish.
  void OnCancel(std::function<void()> callback) { core_->OnCancel(std::move(callback)); }
  bool cancelled() const { return core_->cancelled(); }

  /// Back-pressure: false from when the queue is more than half full until it is at most a quarter full, and
  /// when the stream is over.
  bool writable() const { return core_->writable(); }
  /// `callback` runs each time an open stream has become writable again.
  void OnWritable(std::function<void()> callback) { core_->OnWritable(std::move(callback)); }

 private:
  std::shared_ptr<detail::ServerWriting<Response>> core_;
};

/// Both ends of a bidirectional stream. The handler sets OnMessage (and OnHalfClose) before it returns.
template <typename Request, typename Response>
class BidiServerStream : public ServerStream<Response> {
 public:
  /// `core` is both.
  template <typename Core>
  explicit BidiServerStream(std::shared_ptr<Core> core) : ServerStream<Response>(core), reading_(core) {}

  /// `callback` runs for each message, one at a time, in order; the next is read when it has returned and
  /// reading is not paused.
  void OnMessage(std::function<void(Request)> callback) { reading_->OnMessage(std::move(callback)); }

  /// `callback` runs once after the last message: the client writes no more, but may still read. (A client
  /// that vanished may look so for a moment; OnCancel follows.) Without one, the stream finishes with Ok
  /// then.
  void OnHalfClose(std::function<void()> callback) { reading_->OnHalfClose(std::move(callback)); }

  /// Back-pressure: after the message in hand no more is read until ResumeReading. The client's writes then
  /// wait.
  void PauseReading() { reading_->PauseReading(); }
  void ResumeReading() { reading_->ResumeReading(); }

 private:
  std::shared_ptr<detail::ServerReading<Request>> reading_;
};

/// Serves a unary call. `response` is gRPC's; `handler(const CallContext&,
/// std::shared_ptr<UnaryReply<Response>>)`. The request is valid only until the handler returns.
template <typename Response, typename Handler>
grpc::ServerUnaryReactor* ServeUnary(grpc::CallbackServerContext* context, Response* response,
                                     Handler&& handler) {
  auto* reactor = new detail::UnaryReactor<Response>(context, response);
  auto core = reactor->core();
  detail::Start(context, *core, [&](const CallContext& call) {
    handler(call, std::make_shared<UnaryReply<Response>>(core));
  });
  return reactor;
}

/// Serves a server stream: `handler(const CallContext&, std::shared_ptr<ServerStream<Response>>)`.
template <typename Response, typename Handler>
grpc::ServerWriteReactor<Response>* ServeStream(grpc::CallbackServerContext* context, Handler&& handler,
                                                const StreamOptions& options = {}) {
  auto* reactor = new detail::WriteReactor<Response>(context, options);
  auto core = reactor->core();
  detail::Start(context, *core, [&](const CallContext& call) {
    handler(call, std::make_shared<ServerStream<Response>>(core));
  });
  return reactor;
}

/// Serves a bidirectional stream: `handler(const CallContext&, std::shared_ptr<BidiServerStream<Request,
/// Response>>)`.
template <typename Request, typename Response, typename Handler>
grpc::ServerBidiReactor<Request, Response>* ServeBidi(grpc::CallbackServerContext* context, Handler&& handler,
                                                      const StreamOptions& options = {}) {
  auto* reactor = new detail::BidiReactor<Request, Response>(context, options);
  auto core = reactor->core();
  detail::Start(context, *core, [&](const CallContext& call) {
    handler(call, std::make_shared<BidiServerStream<Request, Response>>(core));
  });
  core->BeginReading();
  return reactor;
}

}  // namespace conclave::platform
