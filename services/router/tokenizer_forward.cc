#include "services/router/tokenizer_forward.h"

namespace conclave::router {

using TokenizerAsync = platform::Forwarder<v1::TokenizerService>::Async;

grpc::ServerBidiReactor<v1::EncodeRequest, v1::EncodeResponse>* TokenizerForward::Encode(
    grpc::CallbackServerContext* context) {
  return forwarder_.BidiStream(&TokenizerAsync::Encode, context);
}

grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>* TokenizerForward::Decode(
    grpc::CallbackServerContext* context) {
  return forwarder_.BidiStream(&TokenizerAsync::Decode, context);
}

grpc::ServerUnaryReactor* TokenizerForward::ListTokens(grpc::CallbackServerContext* context,
                                                       const v1::ListTokensRequest* request,
                                                       v1::ListTokensResponse* response) {
  return forwarder_.Unary(&TokenizerAsync::ListTokens, context, request, response);
}

grpc::ServerUnaryReactor* TokenizerForward::RenderChat(grpc::CallbackServerContext* context,
                                                       const v1::RenderChatRequest* request,
                                                       v1::RenderChatResponse* response) {
  return forwarder_.Unary(&TokenizerAsync::RenderChat, context, request, response);
}

grpc::ServerUnaryReactor* TokenizerForward::Describe(grpc::CallbackServerContext* context,
                                                     const v1::TokenizerServiceDescribeRequest* request,
                                                     v1::TokenizerServiceDescribeResponse* response) {
  return forwarder_.Unary(&TokenizerAsync::Describe, context, request, response);
}

}  // namespace conclave::router
