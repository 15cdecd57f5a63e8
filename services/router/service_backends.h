#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include <caf/all.hpp>

#include "conclave/v1/decoder.grpc.pb.h"
#include "conclave/v1/feedback.grpc.pb.h"
#include "conclave/v1/retriever.grpc.pb.h"
#include "conclave/v1/tokenizer.grpc.pb.h"
#include "platform/rpc/channels.h"
#include "services/router/backends.h"
#include "services/router/shared_stream.h"
#include "services/router/token_listing.h"

namespace conclave::router {

/// The other services, over gRPC or as function calls within the process, and the router's own actors. Any
/// thread may call.
class ServiceBackends final : public Backends, public std::enable_shared_from_this<ServiceBackends> {
 public:
  /// Channels are looked up when first used: services of this process listen only after the modules were
  /// made.
  ServiceBackends(platform::ChannelRegistry& channels, caf::actor admission, caf::actor sessions);

  /// Opens the channels and prepares the shared streams. Before it, GetModel says UNAVAILABLE (the
  /// server listens already); after it, every method may be called.
  Status Open();

  void GetModel(const platform::CallContext& call, Callback<Result<ModelInfo>> done) override;
  void LoadSession(const platform::CallContext& call, const std::string& id,
                   Callback<Result<Session>> done) override;
  void AppendToSession(const platform::CallContext& call, const std::string& id,
                       std::vector<v1::ChatMessage> turn, Callback<Status> done) override;
  void Search(const platform::CallContext& call, v1::SearchRequest request,
              Callback<Result<v1::SearchResponse>> done) override;
  void RenderChat(const platform::CallContext& call, v1::RenderChatRequest request,
                  Callback<Result<v1::RenderChatResponse>> done) override;
  void Encode(const platform::CallContext& call, v1::EncodeRequest request,
              Callback<Result<v1::EncodeResponse>> done) override;
  void Acquire(const Ticket& ticket, Callback<Status> done) override;
  void Release(const Ticket& ticket, int64_t used_tokens) override;
  std::vector<uint64_t> StartSequences(v1::AdmitSequence sequence,
                                       std::vector<Callback<Result<v1::SequenceEvent>>> events) override;
  void EndSequence(uint64_t id, bool still_running) override;
  void Record(const platform::CallContext& call, v1::RecordRequest request,
              Callback<Result<v1::RecordResponse>> done) override;

 private:
  using GenerateStream = SharedStream<v1::GenerateRequest, v1::GenerateResponse, v1::SequenceEvent>;
  using EncodeStream = SharedStream<v1::EncodeRequest, v1::EncodeResponse, v1::EncodeResponse>;

  template <typename Async, typename Request, typename Response>
  auto OpenerOf(const char* service, Async* stub,
                void (Async::*method)(grpc::ClientContext*, grpc::ClientBidiReactor<Request, Response>*));
  void ListTokens(const platform::CallContext& call, std::shared_ptr<TokenListing> listing,
                  Callback<Result<std::shared_ptr<const TokenTable>>> done);
  void AskDecoder(const platform::CallContext& call, const v1::TokenizerServiceDescribeResponse& tokenizer,
                  std::shared_ptr<const TokenTable> tokens, Callback<Result<ModelInfo>> done);

  platform::ChannelRegistry& channels_;
  const caf::actor admission_;
  const caf::actor sessions_;
  std::unique_ptr<v1::TokenizerService::StubInterface> tokenizer_;
  std::unique_ptr<v1::DecoderService::StubInterface> decoder_;
  std::unique_ptr<v1::RetrieverService::StubInterface> retriever_;  ///< null when not configured
  std::unique_ptr<v1::FeedbackService::StubInterface> feedback_;    ///< null when not configured
  std::shared_ptr<GenerateStream> generate_;
  std::shared_ptr<EncodeStream> encode_;
  std::atomic<bool> open_ = false;  ///< set once all of the above are
  std::mutex mutex_;
  std::optional<ModelInfo> model_;  ///< guarded by mutex_
};

}  // namespace conclave::router
