#include "services/router/service_backends.h"

#include <utility>

#include "platform/rpc/client_call.h"
#include "services/router/admission_actor.h"
#include "services/router/limits.h"
#include "services/router/session_actor.h"

namespace conclave::router {
namespace {

using platform::CallUnary;
using platform::ClientContextFor;

constexpr std::chrono::milliseconds kCallTimeout{kCallTimeoutMs};
constexpr std::chrono::milliseconds kRecordTimeout{kRecordTimeoutMs};

/// A result of a service behind the router; a failure says which one it was.
template <typename T>
Result<T> From(const char* service, Result<T> result) {
  if (result.ok()) return result;
  return platform::NameIfBroken(result.status(), service);
}

}  // namespace

ServiceBackends::ServiceBackends(platform::ChannelRegistry& channels, caf::actor admission,
                                 caf::actor sessions)
    : channels_(channels), admission_(std::move(admission)), sessions_(std::move(sessions)) {}

/// How a shared stream to a service is opened: by function calls where it lives in this process, else over
/// gRPC.
template <typename Async, typename Request, typename Response>
auto ServiceBackends::OpenerOf(const char* service, Async* stub,
                               void (Async::*method)(grpc::ClientContext*,
                                                     grpc::ClientBidiReactor<Request, Response>*)) {
  using Stream = platform::ClientBidiStream<Request, Response>;
  return [=, this](typename Stream::Callbacks callbacks) -> Result<std::shared_ptr<Stream>> {
    platform::LocalStreams& local = channels_.local();
    if (channels_.IsInProcess(service) && local.Offers<Request>()) {
      return local.Start<Request, Response>(std::move(callbacks));
    }
    return Stream::Start(stub, method, std::make_unique<grpc::ClientContext>(), std::move(callbacks));
  };
}

Status ServiceBackends::Open() {
  CONCLAVE_ASSIGN_OR_RETURN(const auto tokenizer, channels_.Get("tokenizer"));
  CONCLAVE_ASSIGN_OR_RETURN(const auto decoder, channels_.Get("decoder"));
  CONCLAVE_ASSIGN_OR_RETURN(const auto retriever, channels_.GetOptional("retriever"));
  CONCLAVE_ASSIGN_OR_RETURN(const auto feedback, channels_.GetOptional("feedback"));
  tokenizer_ = v1::TokenizerService::NewStub(tokenizer);
  decoder_ = v1::DecoderService::NewStub(decoder);
  if (retriever != nullptr) retriever_ = v1::RetrieverService::NewStub(retriever);
  if (feedback != nullptr) feedback_ = v1::FeedbackService::NewStub(feedback);

  using DecoderAsync = v1::DecoderService::StubInterface::async_interface;
  using TokenizerAsync = v1::TokenizerService::StubInterface::async_interface;
  generate_ = std::make_shared<GenerateStream>(
      OpenerOf("decoder", decoder_->async(), &DecoderAsync::Generate), [](v1::GenerateResponse response) {
        GenerateStream::Items items;
        for (auto& event : *response.mutable_events())
          items.emplace_back(event.sequence_id(), std::move(event));
        return items;
      });
  encode_ = std::make_shared<EncodeStream>(
      OpenerOf("tokenizer", tokenizer_->async(), &TokenizerAsync::Encode), [](v1::EncodeResponse response) {
        EncodeStream::Items items;
        items.emplace_back(response.id(), std::move(response));
        return items;
      });
  open_ = true;
  return Status::Ok();
}

void ServiceBackends::GetModel(const platform::CallContext& call, Callback<Result<ModelInfo>> done) {
  if (!open_) {
    return done(Unavailable("the server is starting; try again later").WithRetryAfterMs(kRetryAfterMs));
  }
  {
    std::unique_lock lock(mutex_);
    if (model_.has_value()) {
      ModelInfo model = *model_;
      lock.unlock();
      return done(std::move(model));
    }
  }
  using Async = v1::TokenizerService::StubInterface::async_interface;
  CallUnary(tokenizer_->async(), &Async::Describe, ClientContextFor(call, kCallTimeout), {},
            [self = shared_from_this(), call,
             done = std::move(done)](Result<v1::TokenizerServiceDescribeResponse> tokenizer) mutable {
              if (!tokenizer.ok()) return done(From("tokenizer", std::move(tokenizer)).status());
              auto listing = std::make_shared<TokenListing>(tokenizer->model().model_hash());
              self->ListTokens(call, std::move(listing),
                               [self, call, description = *std::move(tokenizer), done = std::move(done)](
                                   Result<std::shared_ptr<const TokenTable>> tokens) mutable {
                                 if (!tokens.ok()) return done(tokens.status());
                                 self->AskDecoder(call, description, *std::move(tokens), std::move(done));
                               });
            });
}

/// Page after page, until the listing is complete.
void ServiceBackends::ListTokens(const platform::CallContext& call, std::shared_ptr<TokenListing> listing,
                                 Callback<Result<std::shared_ptr<const TokenTable>>> done) {
  using Async = v1::TokenizerService::StubInterface::async_interface;
  CallUnary(tokenizer_->async(), &Async::ListTokens, ClientContextFor(call, kCallTimeout),
            listing->NextRequest(),
            [self = shared_from_this(), call, listing,
             done = std::move(done)](Result<v1::ListTokensResponse> page) mutable {
              if (!page.ok()) return done(From("tokenizer", std::move(page)).status());
              const Status taken = listing->Take(*page);
              if (!taken.ok()) return done(taken);
              if (listing->complete()) return done(listing->table());
              self->ListTokens(call, std::move(listing), std::move(done));
            });
}

void ServiceBackends::AskDecoder(const platform::CallContext& call,
                                 const v1::TokenizerServiceDescribeResponse& tokenizer,
                                 std::shared_ptr<const TokenTable> tokens, Callback<Result<ModelInfo>> done) {
  using Async = v1::DecoderService::StubInterface::async_interface;
  CallUnary(decoder_->async(), &Async::Status, ClientContextFor(call, kCallTimeout), {},
            [self = shared_from_this(), tokenizer, tokens = std::move(tokens),
             done = std::move(done)](Result<v1::StatusResponse> decoder) {
              if (!decoder.ok()) return done(From("decoder", std::move(decoder)).status());
              if (decoder->model().model_hash() != tokenizer.model().model_hash()) {
                return done(FailedPrecondition("the tokenizer and the decoder serve different models"));
              }
              ModelInfo model{.identity = decoder->model(), .context_length = decoder->context_length()};
              model.default_sampling = decoder->default_sampling();
              model.tokens = tokens;
              model.end_token_ids.assign(tokenizer.end_token_ids().begin(), tokenizer.end_token_ids().end());
              {
                std::lock_guard lock(self->mutex_);
                self->model_ = model;
              }
              done(std::move(model));
            });
}

void ServiceBackends::LoadSession(const platform::CallContext& call, const std::string& id,
                                  Callback<Result<Session>> done) {
  caf::anon_send(sessions_, LoadSessionMessage{call.tenant, id, std::move(done)});
}

void ServiceBackends::AppendToSession(const platform::CallContext& call, const std::string& id,
                                      std::vector<v1::ChatMessage> turn, Callback<Status> done) {
  caf::anon_send(sessions_, AppendToSessionMessage{call.tenant, id, std::move(turn), std::move(done)});
}

void ServiceBackends::Search(const platform::CallContext& call, v1::SearchRequest request,
                             Callback<Result<v1::SearchResponse>> done) {
  if (retriever_ == nullptr) return done(FailedPrecondition("this installation has no retriever service"));
  using Async = v1::RetrieverService::StubInterface::async_interface;
  CallUnary(retriever_->async(), &Async::Search, ClientContextFor(call, kCallTimeout), std::move(request),
            [done = std::move(done)](Result<v1::SearchResponse> found) {
              done(From("retriever", std::move(found)));
            });
}

void ServiceBackends::RenderChat(const platform::CallContext& call, v1::RenderChatRequest request,
                                 Callback<Result<v1::RenderChatResponse>> done) {
  using Async = v1::TokenizerService::StubInterface::async_interface;
  CallUnary(tokenizer_->async(), &Async::RenderChat, ClientContextFor(call, kCallTimeout), std::move(request),
            [done = std::move(done)](Result<v1::RenderChatResponse> text) {
              done(From("tokenizer", std::move(text)));
            });
}

void ServiceBackends::Encode(const platform::CallContext&, v1::EncodeRequest request,
                             Callback<Result<v1::EncodeResponse>> done) {
  // The handler ends its own conversation, so it must know the id it is about to get.
  auto id = std::make_shared<uint64_t>(0);
  std::weak_ptr<EncodeStream> stream = encode_;
  *id = encode_->Begin([id, stream, done = std::move(done)](Result<v1::EncodeResponse> response) {
    if (response.ok()) {
      if (auto open = stream.lock()) open->End(*id);
    }
    done(From("tokenizer", std::move(response)));
  });
  request.set_id(*id);
  encode_->Send(std::move(request));
}

void ServiceBackends::Acquire(const Ticket& ticket, Callback<Status> done) {
  caf::anon_send(admission_, AcquireMessage{ticket, std::move(done)});
}

void ServiceBackends::Release(const Ticket& ticket, int64_t used_tokens) {
  caf::anon_send(admission_, ReleaseMessage{ticket, used_tokens});
}

std::vector<uint64_t> ServiceBackends::StartSequences(
    v1::AdmitSequence sequence, std::vector<Callback<Result<v1::SequenceEvent>>> events) {
  std::vector<uint64_t> ids;
  for (auto& event : events) {
    const uint64_t id = generate_->Begin([event = std::move(event)](Result<v1::SequenceEvent> made) {
      event(From("decoder", std::move(made)));
    });
    if (ids.empty()) {
      sequence.set_sequence_id(id);
    } else {
      sequence.mutable_further_answers(static_cast<int>(ids.size()) - 1)->set_sequence_id(id);
    }
    ids.push_back(id);
  }
  v1::GenerateRequest request;
  *request.mutable_admit() = std::move(sequence);
  generate_->Send(std::move(request));
  return ids;
}

void ServiceBackends::EndSequence(uint64_t id, bool still_running) {
  generate_->End(id);
  if (!still_running) return;
  v1::GenerateRequest request;
  request.mutable_cancel()->set_sequence_id(id);
  generate_->SendIfOpen(std::move(request));
}

void ServiceBackends::Record(const platform::CallContext& call, v1::RecordRequest request,
                             Callback<Result<v1::RecordResponse>> done) {
  if (feedback_ == nullptr) return done(FailedPrecondition("this installation has no feedback service"));
  using Async = v1::FeedbackService::StubInterface::async_interface;
  CallUnary(
      feedback_->async(), &Async::Record, ClientContextFor(call, kRecordTimeout), std::move(request),
      [done = std::move(done)](Result<v1::RecordResponse> made) { done(From("feedback", std::move(made))); });
}

}  // namespace conclave::router
