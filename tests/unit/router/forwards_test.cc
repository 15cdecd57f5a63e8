#include "services/router/forwards.h"

#include <map>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include "platform/rpc/server_call.h"
#include "platform/rpc/status_mapping.h"
#include "tests/unit/platform/test_support.h"

namespace conclave::router {
namespace {

using platform::CallContext;
using platform::test::Eventually;
using platform::test::Promised;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A feedback service that says what it was asked.
class FakeFeedback final : public v1::FeedbackService::CallbackService {
 public:
  grpc::ServerUnaryReactor* Rate(grpc::CallbackServerContext* context, const v1::RateRequest* request,
                                 v1::RateResponse* response) override {
    return platform::ServeUnary(context, response, [&](const CallContext& call, auto reply) {
      v1::RateResponse rated;
      rated.set_rating_id(call.tenant + "/" + request->response_id());
      reply->Finish(rated);
    });
  }
  grpc::ServerBidiReactor<v1::RateStreamRequest, v1::RateStreamResponse>* RateStream(
      grpc::CallbackServerContext* context) override {
    return platform::ServeBidi<v1::RateStreamRequest, v1::RateStreamResponse>(
        context, [](const CallContext&, auto stream) {
          stream->OnMessage([stream](const v1::RateStreamRequest& request) {
            v1::RateStreamResponse response;
            response.set_id(request.id());
            stream->Write(response);
          });
        });
  }
  grpc::ServerUnaryReactor* Record(grpc::CallbackServerContext* context, const v1::RecordRequest*,
                                   v1::RecordResponse* response) override {
    return platform::ServeUnary(context, response, [this](const CallContext&, auto reply) {
      ++recorded;
      reply->Finish(v1::RecordResponse());
    });
  }
  grpc::ServerWriteReactor<v1::ExportResponse>* Export(grpc::CallbackServerContext* context,
                                                       const v1::ExportRequest* request) override {
    return platform::ServeStream<v1::ExportResponse>(context, [&](const CallContext& call, auto stream) {
      v1::ExportResponse line;
      line.set_json_line(call.tenant + "+" + request->tenant());
      stream->Write(line);
      stream->Finish(Status::Ok());
    });
  }
  std::atomic<int> recorded{0};
};

/// A retriever that says what it was asked.
class FakeRetriever final : public v1::RetrieverService::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* Ingest(
      grpc::CallbackServerContext* context) override {
    return platform::ServeBidi<v1::IngestRequest, v1::IngestResponse>(
        context, [this](const CallContext&, auto stream) {
          auto count = std::make_shared<uint64_t>(0);
          // A stream drops its callbacks when it is over, whichever way.
          const std::shared_ptr<void> open(nullptr, [this](void*) { ingest_over.Set(true); });
          stream->OnMessage([count, open](const v1::IngestRequest&) { ++*count; });
          stream->OnHalfClose([count, stream] {
            v1::IngestResponse total;
            total.set_documents(*count);
            stream->Write(total);
            stream->Finish(Status::Ok());
          });
        });
  }
  grpc::ServerUnaryReactor* Search(grpc::CallbackServerContext* context, const v1::SearchRequest* request,
                                   v1::SearchResponse* response) override {
    return platform::ServeUnary(context, response, [&](const CallContext& call, auto reply) {
      if (request->query() == "fail") return reply->Finish(NotFound("no such collection"));
      v1::SearchResponse found;
      found.add_results()->set_text(call.tenant + "+" + request->tenant());
      reply->Finish(found);
    });
  }
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* context, const v1::DeleteRequest*,
                                   v1::DeleteResponse* response) override {
    return platform::ServeUnary(context, response, [](const CallContext&, auto reply) {
      v1::DeleteResponse deleted;
      deleted.set_documents(7);
      reply->Finish(deleted);
    });
  }
  grpc::ServerUnaryReactor* ListCollections(grpc::CallbackServerContext* context,
                                            const v1::ListCollectionsRequest*,
                                            v1::ListCollectionsResponse* response) override {
    return platform::ServeUnary(context, response, [](const CallContext&, auto reply) {
      v1::ListCollectionsResponse collections;
      collections.add_collections()->set_name("manual");
      reply->Finish(collections);
    });
  }
  Promised<bool> ingest_over;
};

using Addresses = std::map<std::string, std::vector<std::string>>;

std::vector<std::string> NamesOf(const Forwards& forwards) {
  std::vector<std::string> names;
  for (const platform::NamedService& service : forwards.services()) names.push_back(service.proto_name);
  return names;
}

/// A router's public server, whose services are in another server on a Unix socket.
class ForwardsTest : public ::testing::Test {
 protected:
  /// `listen`: where clients come from decides what they may do.
  void StartBoth(const std::string& listen = "127.0.0.1:0") {
    const std::string behind = "unix:" + (folder_.path() / "run" / "behind.sock").string();
    behind_ =
        StartServer({.addresses = {behind}}, {{v1::FeedbackService::service_full_name(), &feedback_},
                                              {v1::RetrieverService::service_full_name(), &retriever_}});
    StartRouter({{"feedback", {behind}}, {"retriever", {behind}}}, listen);
  }

  void StartRouter(Addresses addresses, const std::string& listen = "127.0.0.1:0") {
    platform::ChannelRegistry channels(std::move(addresses), {}, platform::kDefaultMaxMessageBytes);
    auto made = Forwards::Make(channels);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    forwards_ = std::make_unique<Forwards>(std::move(made).value());
    router_ = StartServer({.addresses = {listen}}, forwards_->services());
    auto channel = platform::OpenChannel(router_->addresses().front(), {}, platform::kDefaultMaxMessageBytes);
    ASSERT_TRUE(channel.ok()) << channel.status().ToString();
    feedback_stub_ = v1::FeedbackService::NewStub(*channel);
    retriever_stub_ = v1::RetrieverService::NewStub(*channel);
  }

  static std::unique_ptr<platform::Server> StartServer(platform::ServerOptions options,
                                                       std::vector<platform::NamedService> services) {
    auto server = platform::Server::Start(options, std::move(services));
    EXPECT_TRUE(server.ok()) << server.status().ToString();
    return server.ok() ? std::move(server).value() : nullptr;
  }

  std::string UnixFront() const { return "unix:" + (folder_.path() / "run" / "front.sock").string(); }

  static std::unique_ptr<grpc::ClientContext> Context(const std::string& tenant = "") {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    if (!tenant.empty()) context->AddMetadata(platform::kTenantKey, tenant);
    return context;
  }

  Status Search(const std::string& query, const std::string& tenant, v1::SearchResponse* found,
                const std::string& callers_tenant = "") {
    v1::SearchRequest request;
    request.set_query(query);
    request.set_tenant(tenant);
    return platform::FromGrpcStatus(retriever_stub_->Search(Context(callers_tenant).get(), request, found));
  }

  platform::test::TemporaryFolder folder_;
  FakeFeedback feedback_;
  FakeRetriever retriever_;
  std::unique_ptr<platform::Server> behind_;
  std::unique_ptr<Forwards> forwards_;
  std::unique_ptr<platform::Server> router_;  // ends first
  std::unique_ptr<v1::FeedbackService::Stub> feedback_stub_;
  std::unique_ptr<v1::RetrieverService::Stub> retriever_stub_;
};

TEST_F(ForwardsTest, EveryPublicMethodOfFeedbackIsForwarded) {
  StartBoth();
  v1::RateRequest rating;
  rating.set_response_id("answer-1");
  v1::RateResponse rated;
  ASSERT_TRUE(feedback_stub_->Rate(Context().get(), rating, &rated).ok());
  EXPECT_EQ(rated.rating_id(), "default/answer-1");

  auto context = Context();
  auto ratings = feedback_stub_->RateStream(context.get());
  v1::RateStreamRequest first;
  first.set_id(41);
  v1::RateStreamResponse answer;
  ASSERT_TRUE(ratings->Write(first));
  ASSERT_TRUE(ratings->Read(&answer));
  EXPECT_EQ(answer.id(), 41u);
  ratings->WritesDone();
  EXPECT_FALSE(ratings->Read(&answer));
  EXPECT_TRUE(ratings->Finish().ok());

  context = Context();
  auto lines = feedback_stub_->Export(context.get(), {});
  v1::ExportResponse line;
  ASSERT_TRUE(lines->Read(&line));
  EXPECT_EQ(line.json_line(), "default+");
  EXPECT_FALSE(lines->Read(&line));
  EXPECT_TRUE(lines->Finish().ok());
}

TEST_F(ForwardsTest, RecordIsRefusedAndNotPassedOn) {
  StartBoth();
  v1::RecordRequest record;
  record.set_response_id("made-up");
  v1::RecordResponse recorded;
  const grpc::Status status = feedback_stub_->Record(Context().get(), record, &recorded);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr("Record is internal"));
  EXPECT_EQ(feedback_.recorded, 0);
}

TEST_F(ForwardsTest, EveryMethodOfTheRetrieverIsForwarded) {
  StartBoth();
  auto context = Context();
  auto documents = retriever_stub_->Ingest(context.get());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(documents->Write({}));
  documents->WritesDone();
  v1::IngestResponse progress;
  ASSERT_TRUE(documents->Read(&progress));
  EXPECT_EQ(progress.documents(), 5u);
  EXPECT_FALSE(documents->Read(&progress));
  EXPECT_TRUE(documents->Finish().ok());

  v1::SearchResponse found;
  ASSERT_TRUE(Search("owls", "", &found).ok());
  EXPECT_EQ(found.results(0).text(), "default+");
  EXPECT_EQ(Search("fail", "", &found), NotFound("no such collection"));
  v1::DeleteResponse deleted;
  ASSERT_TRUE(retriever_stub_->Delete(Context().get(), {}, &deleted).ok());
  EXPECT_EQ(deleted.documents(), 7u);
  v1::ListCollectionsResponse collections;
  ASSERT_TRUE(retriever_stub_->ListCollections(Context().get(), {}, &collections).ok());
  EXPECT_EQ(collections.collections(0).name(), "manual");
  EXPECT_TRUE(Eventually([&] { return forwards_->idle(); }));
}

// The services behind trust the router's socket: without a check here they would take a stranger's word.
TEST_F(ForwardsTest, ACallerFromTheNetworkNamesNoOtherTenant) {
  StartBoth();
  v1::SearchResponse found;
  EXPECT_EQ(Search("owls", "acme", &found).code(), StatusCode::kPermissionDenied);
  EXPECT_TRUE(Search("owls", "default", &found).ok());
  ASSERT_TRUE(Search("owls", "", &found, "acme").ok());
  EXPECT_EQ(found.results(0).text(), "default+");

  auto context = Context();
  v1::ExportRequest request;
  request.set_tenant("acme");
  auto lines = feedback_stub_->Export(context.get(), request);
  v1::ExportResponse line;
  EXPECT_FALSE(lines->Read(&line));
  EXPECT_EQ(lines->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);

  context = Context();
  auto documents = retriever_stub_->Ingest(context.get());
  ASSERT_TRUE(documents->Write({}));
  v1::IngestRequest foreign;
  foreign.set_tenant("acme");
  documents->Write(foreign);
  v1::IngestResponse progress;
  EXPECT_FALSE(documents->Read(&progress));
  EXPECT_EQ(documents->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(retriever_.ingest_over.Wait()) << "the stream behind was left open";
}

TEST_F(ForwardsTest, ACallerOnTheSameMachineChoosesItsTenant) {
  StartBoth(UnixFront());
  v1::SearchResponse found;
  ASSERT_TRUE(Search("owls", "umbrella", &found, "acme").ok());
  EXPECT_EQ(found.results(0).text(), "acme+umbrella");
}

TEST_F(ForwardsTest, AServiceThatIsAwayIsNamed) {
  StartBoth();
  behind_.reset();
  v1::SearchResponse found;
  const Status status = Search("owls", "", &found);
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("the retriever service: "));
}

TEST_F(ForwardsTest, AServiceThatNoProcessHasSaysSoAndHealthDoesNotKnowIt) {
  StartRouter({{"router", {"inproc:router"}}});
  v1::SearchResponse found;
  const Status status = Search("owls", "", &found);
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("no retriever service"));
  EXPECT_THAT(status.message(), HasSubstr("processes[].services"));
  EXPECT_THAT(NamesOf(*forwards_), ElementsAre("", "", ""));
}

TEST(ForwardsNamesTest, OnlyWhatLivesElsewhereIsForwarded) {
  const std::string elsewhere = "unix:/tmp/nobody-listens-here";
  const auto registry = [](const std::string& feedback, const std::string& retriever,
                           const std::string& tokenizer) {
    return Addresses{{"feedback", {feedback}}, {"retriever", {retriever}}, {"tokenizer", {tokenizer}}};
  };
  const std::string here = "inproc:all";
  platform::ChannelRegistry together(registry(here, here, here), {}, 1 << 20);
  EXPECT_TRUE(NamesOf(*Forwards::Make(together)).empty());
  platform::ChannelRegistry half(registry(elsewhere, here, here), {}, 1 << 20);
  EXPECT_THAT(NamesOf(*Forwards::Make(half)), ElementsAre("conclave.v1.FeedbackService"));
  platform::ChannelRegistry apart(registry(elsewhere, elsewhere, elsewhere), {}, 1 << 20);
  EXPECT_THAT(NamesOf(*Forwards::Make(apart)),
              ElementsAre("conclave.v1.FeedbackService", "conclave.v1.RetrieverService",
                          "conclave.v1.TokenizerService"));
}

TEST(ForwardsNamesTest, ABadAddressIsRefusedAtTheStart) {
  platform::ChannelRegistry channels({{"feedback", {"127.0.0.1:0"}}}, {}, 1 << 20);
  EXPECT_EQ(Forwards::Make(channels).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace conclave::router
