#include "services/retriever/retriever_service.h"

#include <utility>

#include <caf/send.hpp>

#include "platform/rpc/server_call.h"
#include "services/retriever/checks.h"
#include "services/retriever/index_actor.h"
#include "services/retriever/ingest_actor.h"
#include "services/retriever/limits.h"
#include "services/retriever/metrics.h"
#include "services/retriever/search_actor.h"
#include "services/retriever/wire.h"

namespace conclave::retriever {
namespace {

using platform::CallContext;
using IngestCall = platform::BidiServerStream<v1::IngestRequest, v1::IngestResponse>;

Status Busy(const std::string& what) {
  return ResourceExhausted("too many " + what + " at once").WithRetryAfterMs(kRetryAfterMs);
}

Status Draining() {
  return Unavailable("the server shuts down; what it acknowledged is kept").WithRetryAfterMs(kRetryAfterMs);
}

Result<std::string> TenantOf(const std::string& named, const CallContext& call) {
  return TenantFor(named, call.tenant, platform::IsTrustedPeer(call.peer));
}

/// The stream's client; also counts what is skipped.
class StreamClient final : public IngestClient {
 public:
  StreamClient(std::shared_ptr<IngestCall> stream, platform::Metrics& metrics)
      : stream_(std::move(stream)), metrics_(metrics) {}

  void Report(const IngestProgress& progress, bool is_final) override {
    // Progress is cumulative: a client that does not read misses nothing by missing some.
    if (is_final || stream_->writable()) stream_->Write(ToWire(progress));
    for (const auto& [reason, count] : progress.skipped) {
      uint64_t& counted = counted_[reason];
      if (count > counted) metrics_.Counter(kSkippedTotal, {{"reason", reason}}).Increment(count - counted);
      counted = count;
    }
  }
  void Finish(const Status& status) override { stream_->Finish(status); }
  void PauseReading() override { stream_->PauseReading(); }
  void ResumeReading() override { stream_->ResumeReading(); }
  bool gone() const override { return stream_->cancelled(); }

 private:
  const std::shared_ptr<IngestCall> stream_;
  platform::Metrics& metrics_;
  std::map<std::string, uint64_t> counted_;
};

/// One reply type's unary call: `handle(call, reply)` returns why it could not begin.
template <typename Response, typename Handle>
grpc::ServerUnaryReactor* Serve(grpc::CallbackServerContext* context, Response* response, Handle&& handle) {
  using Reply = std::shared_ptr<platform::UnaryReply<Response>>;
  return platform::ServeUnary<Response>(context, response, [&](const CallContext& call, Reply reply) {
    if (Status status = handle(call, reply); !status.ok()) reply->Finish(std::move(status));
  });
}

v1::DeleteResponse DeletedToWire(const DeleteCounts& counts) {
  v1::DeleteResponse response;
  response.set_documents(counts.documents);
  response.set_chunks(counts.chunks);
  return response;
}

}  // namespace

RetrieverService::RetrieverService(RetrieverActors actors, platform::Metrics& metrics)
    : actors_(std::move(actors)),
      metrics_(metrics),
      streams_(std::make_shared<Budget>(kMaxIngestStreams)),
      bytes_(std::make_shared<Budget>(kMaxPendingBytes)),
      searches_(std::make_shared<Budget>(kMaxPendingSearches)),
      deletes_(std::make_shared<Budget>(kMaxPendingDeletes)) {}

grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* RetrieverService::Ingest(
    grpc::CallbackServerContext* context) {
  using Stream = std::shared_ptr<IngestCall>;
  return platform::ServeBidi<v1::IngestRequest, v1::IngestResponse>(
      context, [this](const CallContext& call, Stream stream) {
        auto place = TakePlace(streams_);
        if (!place) return stream->Finish(Busy("ingest streams"));
        auto submit = [ingest = actors_.ingest](PendingDocument document) {
          caf::anon_send(ingest, std::make_shared<PendingDocument>(std::move(document)));
        };
        auto session = std::make_shared<IngestSession>(std::make_unique<StreamClient>(stream, metrics_),
                                                       bytes_, *std::move(place), std::move(submit));
        stream->OnMessage([this, call, session](v1::IngestRequest request) {
          if (draining_ && session->between_documents()) return session->Fail(Draining());
          auto tenant = TenantOf(request.tenant(), call);
          if (!tenant.ok()) return session->Fail(tenant.status());
          auto part = FromWire(std::move(request), *std::move(tenant));
          if (!part.ok()) return session->Fail(part.status());
          session->Receive(*std::move(part));
        });
        stream->OnHalfClose([session] { session->HalfClose(); });
        stream->OnCancel([session] { session->Fail(Cancelled("the client is gone")); });
      });
}

grpc::ServerUnaryReactor* RetrieverService::Search(grpc::CallbackServerContext* context,
                                                   const v1::SearchRequest* request,
                                                   v1::SearchResponse* response) {
  return Serve(context, response, [&](const CallContext& call, auto reply) -> Status {
    auto order = std::make_shared<SearchOrder>();
    CONCLAVE_RETURN_IF_ERROR(CheckCollectionName(request->collection()));
    CONCLAVE_RETURN_IF_ERROR(CheckQuery(request->query()));
    if (request->top_n() > kMaxTopN) {
      return InvalidArgument("top_n is " + std::to_string(request->top_n()) + ", the limit is 1000");
    }
    CONCLAVE_ASSIGN_OR_RETURN(order->collection.tenant, TenantOf(request->tenant(), call));
    auto place = TakePlace(searches_);
    if (!place) return Busy("searches");
    order->place = *std::move(place);
    order->collection.name = request->collection();
    order->query = request->query();
    order->top_n = request->top_n() == 0 ? kDefaultTopN : request->top_n();
    order->cancelled = [reply] { return reply->cancelled(); };
    order->done = [reply](Result<std::vector<SearchHit>> hits) {
      if (!hits.ok()) return reply->Finish(hits.status());
      reply->Finish(ToWire(*std::move(hits)));
    };
    caf::anon_send(NextSearcher(), std::move(order));
    return Status::Ok();
  });
}

grpc::ServerUnaryReactor* RetrieverService::Delete(grpc::CallbackServerContext* context,
                                                   const v1::DeleteRequest* request,
                                                   v1::DeleteResponse* response) {
  return Serve(context, response, [&](const CallContext& call, auto reply) -> Status {
    auto order = std::make_shared<DeleteOrder>();
    CONCLAVE_RETURN_IF_ERROR(CheckCollectionName(request->collection()));
    if (!request->source().empty()) CONCLAVE_RETURN_IF_ERROR(CheckSource(request->source()));
    CONCLAVE_ASSIGN_OR_RETURN(order->collection.tenant, TenantOf(request->tenant(), call));
    auto place = TakePlace(deletes_);
    if (!place) return Busy("deletions");
    order->place = *std::move(place);
    order->collection.name = request->collection();
    order->source = request->source();
    order->done = [reply](Result<DeleteCounts> counts) {
      if (!counts.ok()) return reply->Finish(counts.status());
      reply->Finish(DeletedToWire(*counts));
    };
    caf::anon_send(actors_.index, std::move(order));
    return Status::Ok();
  });
}

grpc::ServerUnaryReactor* RetrieverService::ListCollections(grpc::CallbackServerContext* context,
                                                            const v1::ListCollectionsRequest* request,
                                                            v1::ListCollectionsResponse* response) {
  return Serve(context, response, [&](const CallContext& call, auto reply) -> Status {
    auto order = std::make_shared<ListOrder>();
    CONCLAVE_ASSIGN_OR_RETURN(order->tenant, TenantOf(request->tenant(), call));
    auto place = TakePlace(searches_);
    if (!place) return Busy("searches");
    order->place = *std::move(place);
    order->done = [reply](Result<std::vector<CollectionSummary>> collections) {
      if (!collections.ok()) return reply->Finish(collections.status());
      reply->Finish(ToWire(*collections));
    };
    caf::anon_send(NextSearcher(), std::move(order));
    return Status::Ok();
  });
}

caf::actor RetrieverService::NextSearcher() {
  return actors_.searchers[next_searcher_++ % actors_.searchers.size()];
}

}  // namespace conclave::retriever
