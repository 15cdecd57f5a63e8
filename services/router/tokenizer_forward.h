#pragma once

#include <memory>

#include "conclave/v1/tokenizer.grpc.pb.h"
#include "platform/rpc/forwarder.h"

namespace conclave::router {

/// A tokenizer service in another process, for clients that count or make tokens themselves: passed on to it
/// (platform/rpc/forwarder.h says how).
class TokenizerForward final : public v1::TokenizerService::CallbackService {
 public:
  /// `channel` null: no process of the installation has the service.
  TokenizerForward(const std::shared_ptr<grpc::Channel>& channel, platform::ForwardOptions options)
      : forwarder_(channel, std::move(options)) {}

  grpc::ServerBidiReactor<v1::EncodeRequest, v1::EncodeResponse>* Encode(
      grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>* Decode(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* ListTokens(grpc::CallbackServerContext* context,
                                       const v1::ListTokensRequest* request,
                                       v1::ListTokensResponse* response) override;
  grpc::ServerUnaryReactor* RenderChat(grpc::CallbackServerContext* context,
                                       const v1::RenderChatRequest* request,
                                       v1::RenderChatResponse* response) override;
  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const v1::TokenizerServiceDescribeRequest* request,
                                     v1::TokenizerServiceDescribeResponse* response) override;

  bool configured() const { return forwarder_.configured(); }
  bool idle() const { return forwarder_.idle(); }

 private:
  platform::Forwarder<v1::TokenizerService> forwarder_;
};

}  // namespace conclave::router
