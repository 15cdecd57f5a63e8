#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <grpcpp/channel.h>
#include <grpcpp/support/server_callback.h>

#include "base/result.h"
#include "platform/rpc/call_context.h"
#include "platform/rpc/client_call.h"
#include "platform/rpc/forward_relay.h"
#include "platform/rpc/server_call.h"

namespace conclave::platform {

struct ForwardOptions {
  /// As the configuration names it.
  std::string service;
  /// The longest that a unary call and a stream may take, whatever deadline their caller sets.
  std::chrono::milliseconds call_timeout;
  std::chrono::milliseconds stream_timeout;
  /// Calls under way at once; one more gets RESOURCE_EXHAUSTED with a retry hint.
  int64_t most_open_calls = 0;
};

/// Passes calls of the generated `Service` (v1::RetrieverService) on to the process that has it, so that a
/// server can answer for a service that lives elsewhere. A face overrides each method that may be forwarded
/// with one line:
///
///     return forwarder_.Unary(&Async::Search, context, request, response);
///
/// - Deadline: the smaller of the caller's and the options' own. Request id and tenant go along; a caller
/// that may
///   not choose a tenant may not name another's in the request's field `tenant` either: the service trusts
///   this process, and would believe it.
/// - A caller that cancels, vanishes or passes its deadline cancels the call behind at once.
/// - A stream holds one message a direction: the next is read when the one before has been written, so that a
/// slow
///   reader slows its writer down and fills no memory.
/// - Codes and retry hints arrive as they were sent, and so do messages, except that what broke (UNAVAILABLE,
///   INTERNAL, UNKNOWN) is said with the service's name in front. Without a channel every call gets
///   UNIMPLEMENTED with the configuration key to set.
/// - Calls under way may outlive this. Any thread may call.
template <typename Service>
class Forwarder {
 public:
  using Async = typename Service::StubInterface::async_interface;

  /// `channel` null: no process of the installation has the service.
  Forwarder(const std::shared_ptr<grpc::Channel>& channel, ForwardOptions options)
      : stub_(channel == nullptr ? nullptr : Service::NewStub(channel)),
        call_timeout_(options.call_timeout),
        stream_timeout_(options.stream_timeout),
        calls_(
            std::make_shared<detail::ForwardedCalls>(std::move(options.service), options.most_open_calls)) {}

  bool configured() const { return stub_ != nullptr; }

  /// No forwarded call is under way.
  bool idle() const { return calls_->idle(); }

  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Unary(void (Async::*method)(grpc::ClientContext*, const Request*, Response*,
                                                        std::function<void(grpc::Status)>),
                                  grpc::CallbackServerContext* context, const Request* request,
                                  Response* response) {
    using Reply = std::shared_ptr<UnaryReply<Response>>;
    return ServeUnary(context, response, [&](const CallContext& call, Reply reply) {
      auto place = Admit(call, *request);
      if (!place.ok()) return reply->Finish(place.status());
      UnaryCall behind = CallUnary(stub_->async(), method, ClientContextFor(call, call_timeout_), *request,
                                   [reply, place = *place](Result<Response> result) {
                                     if (result.ok()) return reply->Finish(std::move(result));
                                     reply->Finish(NameIfBroken(result.status(), place->service()));
                                   });
      reply->OnCancel([behind]() mutable { behind.Cancel(); });
    });
  }

  template <typename Request, typename Response>
  grpc::ServerWriteReactor<Response>* ServerStream(void (Async::*method)(grpc::ClientContext*, const Request*,
                                                                         grpc::ClientReadReactor<Response>*),
                                                   grpc::CallbackServerContext* context,
                                                   const Request* request) {
    using Relay = detail::ForwardRelay<platform::ServerStream<Response>, ClientStreamReader<Response>>;
    return ServeStream<Response>(
        context,
        [&](const CallContext& call, std::shared_ptr<platform::ServerStream<Response>> caller) {
          auto place = Admit(call, *request);
          if (!place.ok()) return caller->Finish(place.status());
          auto relay = std::make_shared<Relay>(std::move(caller), *std::move(place));
          relay->Begin([&] {
            return ClientStreamReader<Response>::Start(
                stub_->async(), method, ClientContextFor(call, stream_timeout_), *request,
                {.on_message = [relay](Response message) { relay->FromService(std::move(message)); },
                 .on_done = [relay](const Status& status) { relay->ServiceEnded(status); }});
          });
        },
        detail::kOneMessage);
  }

  template <typename Request, typename Response>
  grpc::ServerBidiReactor<Request, Response>* BidiStream(
      void (Async::*method)(grpc::ClientContext*, grpc::ClientBidiReactor<Request, Response>*),
      grpc::CallbackServerContext* context) {
    using Caller = BidiServerStream<Request, Response>;
    using Behind = ClientBidiStream<Request, Response>;
    using Relay = detail::ForwardRelay<Caller, Behind>;
    return ServeBidi<Request, Response>(
        context,
        [&](const CallContext& call, std::shared_ptr<Caller> caller) {
          auto place = calls_->Enter(configured());
          if (!place.ok()) return caller->Finish(place.status());
          auto relay = std::make_shared<Relay>(caller, *std::move(place));
          caller->OnMessage([relay, call](Request message) {
            const Status allowed = detail::CheckTenantOf(call, message);
            if (!allowed.ok()) return relay->Refuse(allowed);
            relay->FromCaller(std::move(message));
          });
          caller->OnHalfClose([relay] { relay->CallerHalfClosed(); });
          relay->Begin([&] {
            return Behind::Start(
                stub_->async(), method, ClientContextFor(call, stream_timeout_),
                {.on_message = [relay](Response message) { relay->FromService(std::move(message)); },
                 .on_done = [relay](const Status& status) { relay->ServiceEnded(status); },
                 .on_writable = [caller] { caller->ResumeReading(); }},
                detail::kOneMessage);
          });
        },
        detail::kOneMessage);
  }

 private:
  template <typename Request>
  Result<std::shared_ptr<detail::ForwardedCall>> Admit(const CallContext& call, const Request& request) {
    CONCLAVE_ASSIGN_OR_RETURN(auto place, calls_->Enter(configured()));
    CONCLAVE_RETURN_IF_ERROR(detail::CheckTenantOf(call, request));
    return place;
  }

  std::unique_ptr<typename Service::StubInterface> stub_;
  std::chrono::milliseconds call_timeout_;
  std::chrono::milliseconds stream_timeout_;
  std::shared_ptr<detail::ForwardedCalls> calls_;
};

}  // namespace conclave::platform
