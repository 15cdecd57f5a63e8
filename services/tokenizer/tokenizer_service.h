#pragma once

#include <memory>

#include "conclave/v1/tokenizer.grpc.pb.h"
#include "platform/rpc/local_streams.h"
#include "platform/rpc/server_call.h"
#include "services/tokenizer/decode_session.h"
#include "services/tokenizer/encode_session.h"
#include "services/tokenizer/large_text_queue.h"
#include "services/tokenizer/model_tokenizer.h"
#include "services/tokenizer/tokenizer_counters.h"

namespace conclave::tokenizer {

/// The gRPC face: checks requests and hands them to the tokenizer, on the thread that received them unless
/// the text is large.
class TokenizerService final : public v1::TokenizerService::CallbackService {
 public:
  /// `queue` and `counters` must outlive this, and this every call.
  TokenizerService(std::shared_ptr<const ModelTokenizer> tokenizer, v1::ModelIdentity model,
                   LargeTextQueue& queue, TokenizerCounters& counters)
      : tokenizer_(std::move(tokenizer)), model_(std::move(model)), queue_(queue), counters_(counters) {}

  grpc::ServerBidiReactor<v1::EncodeRequest, v1::EncodeResponse>* Encode(
      grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>* Decode(
      grpc::CallbackServerContext* context) override;
  /// Serves Encode without gRPC too.
  void OfferStreams(platform::LocalStreams& local);

  grpc::ServerUnaryReactor* ListTokens(grpc::CallbackServerContext* context,
                                       const v1::ListTokensRequest* request,
                                       v1::ListTokensResponse* response) override;
  grpc::ServerUnaryReactor* RenderChat(grpc::CallbackServerContext* context,
                                       const v1::RenderChatRequest* request,
                                       v1::RenderChatResponse* response) override;
  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const v1::TokenizerServiceDescribeRequest* request,
                                     v1::TokenizerServiceDescribeResponse* response) override;

 private:
  void ServeEncode(std::shared_ptr<EncodeSession::Stream> stream);
  Result<v1::ListTokensResponse> TokensFrom(int32_t first) const;
  Result<v1::RenderChatResponse> Render(const std::vector<ChatTurn>& turns, bool add_generation_prompt) const;

  const std::shared_ptr<const ModelTokenizer> tokenizer_;
  const v1::ModelIdentity model_;
  LargeTextQueue& queue_;
  TokenizerCounters& counters_;
};

}  // namespace conclave::tokenizer
