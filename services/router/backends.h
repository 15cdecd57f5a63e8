#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/token_table.h"
#include "conclave/v1/decoder.pb.h"
#include "conclave/v1/feedback.pb.h"
#include "conclave/v1/retriever.pb.h"
#include "conclave/v1/router.pb.h"
#include "conclave/v1/tokenizer.pb.h"
#include "platform/rpc/call_context.h"
#include "services/router/fair_queue.h"
#include "services/router/session.h"

namespace conclave::router {

/// The model behind the router.
struct ModelInfo {
  v1::ModelIdentity identity;
  uint32_t context_length = 0;
  std::vector<int32_t> end_token_ids;
  std::shared_ptr<const TokenTable> tokens;
  /// What stands for the parameters that a request leaves unset; max_tokens is one of them.
  v1::SamplingParams default_sampling;
};

/// What a request needs of the other services. Every method returns at once; a callback runs exactly once (a
/// stream's many times), on any thread, and must not block. Implemented over gRPC (service_backends.h) and by
/// tests.
class Backends {
 public:
  template <typename T>
  using Callback = std::function<void(T)>;

  virtual ~Backends() = default;

  virtual void GetModel(const platform::CallContext& call, Callback<Result<ModelInfo>> done) = 0;
  virtual void LoadSession(const platform::CallContext& call, const std::string& id,
                           Callback<Result<Session>> done) = 0;
  /// Adds a question with its answer to what is stored by then: requests of one session may run side by side.
  virtual void AppendToSession(const platform::CallContext& call, const std::string& id,
                               std::vector<v1::ChatMessage> turn, Callback<Status> done) = 0;
  virtual void Search(const platform::CallContext& call, v1::SearchRequest request,
                      Callback<Result<v1::SearchResponse>> done) = 0;
  virtual void RenderChat(const platform::CallContext& call, v1::RenderChatRequest request,
                          Callback<Result<v1::RenderChatResponse>> done) = 0;
  virtual void Encode(const platform::CallContext& call, v1::EncodeRequest request,
                      Callback<Result<v1::EncodeResponse>> done) = 0;

  /// Waits for a turn; Ok means that it runs now, and that Release must follow.
  virtual void Acquire(const Ticket& ticket, Callback<Status> done) = 0;
  /// The request no longer wants its turn, or has ended having used so many tokens.
  virtual void Release(const Ticket& ticket, int64_t used_tokens) = 0;

  /// Starts a sequence and those of its further answers, one for each of `events`; fills in their ids, and
  /// returns them in that order.
  virtual std::vector<uint64_t> StartSequences(v1::AdmitSequence sequence,
                                               std::vector<Callback<Result<v1::SequenceEvent>>> events) = 0;
  /// Nothing more is heard of the sequence; the decoder stops it if it still runs.
  virtual void EndSequence(uint64_t id, bool still_running) = 0;

  virtual void Record(const platform::CallContext& call, v1::RecordRequest request,
                      Callback<Result<v1::RecordResponse>> done) = 0;
};

}  // namespace conclave::router
