#include "services/retriever/retriever_service.h"

#include <chrono>

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "platform/rpc/server.h"
#include "platform/state/open_state_store.h"
#include "services/retriever/limits.h"
#include "services/retriever/metrics.h"
#include "services/retriever/retriever_module.h"
#include "tests/support/temporary_folder.h"

namespace conclave::retriever {
namespace {

/// The whole module behind an in-process channel.
class RetrieverServiceTest : public ::testing::Test {
 protected:
  void SetUp() override { StartServer(); }
  void TearDown() override { StopServer(); }

  void StartServer() {
    auto state = platform::OpenStateStore(config_.state, folder_.path() + "/state");
    ASSERT_TRUE(state.ok()) << state.status().ToString();
    state_ = std::move(state).value();
    auto module = MakeRetrieverModule(
        {config_, process_, actors_.get(), channels_, metrics_, state_.get(), folder_.path() + "/data", {}});
    ASSERT_TRUE(module.ok()) << module.status().ToString();
    module_ = std::move(module).value();
    auto server = platform::Server::Start({}, {{module_->proto_name(), module_->service()}});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(server).value();
    stub_ = v1::RetrieverService::NewStub(server_->InProcessChannel());
  }

  void StopServer() {
    stub_.reset();
    if (server_) server_->Shutdown(std::chrono::milliseconds(0));
    server_.reset();
    module_.reset();
    state_.reset();
  }

  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  }

  static v1::IngestRequest Request(const std::string& source, const std::string& content, bool last = true,
                                   const std::string& collection = "c") {
    v1::IngestRequest request;
    request.set_collection(collection);
    request.set_source(source);
    request.set_content(content);
    request.set_last_part(last);
    return request;
  }

  grpc::Status Ingest(const std::vector<v1::IngestRequest>& requests, v1::IngestResponse* progress) {
    grpc::ClientContext context;
    SetDeadline(context);
    const auto stream = stub_->Ingest(&context);
    for (const auto& request : requests) {
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
    while (stream->Read(progress)) {
    }
    return stream->Finish();
  }

  grpc::Status Search(const std::string& query, v1::SearchResponse* response,
                      const std::string& collection = "c", uint32_t top_n = 0) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::SearchRequest request;
    request.set_collection(collection);
    request.set_query(query);
    request.set_top_n(top_n);
    return stub_->Search(&context, request, response);
  }

  grpc::StatusCode SearchCode(const std::string& query, const std::string& collection = "c",
                              uint32_t top_n = 0) {
    v1::SearchResponse response;
    return Search(query, &response, collection, top_n).error_code();
  }

  testing::TemporaryFolder folder_;
  platform::Config config_;
  platform::ProcessConfig process_;
  platform::ActorSystem actors_;
  platform::ChannelRegistry channels_{{}, {}, platform::kDefaultMaxMessageBytes};
  platform::Metrics metrics_;
  std::unique_ptr<platform::StateStore> state_;
  std::unique_ptr<platform::ServiceModule> module_;
  std::unique_ptr<platform::Server> server_;
  std::unique_ptr<v1::RetrieverService::Stub> stub_;
};

/// A large document; smaller with the thread sanitizer, which stops at every byte that gRPC, not built with
/// it, wrote.
#if defined(__SANITIZE_THREAD__)
constexpr size_t kHugeBytes = 64 << 10;
#else
constexpr size_t kHugeBytes = 3 << 20;
#endif

TEST_F(RetrieverServiceTest, IngestsSearchesAndSurvivesARestart) {
  v1::IngestResponse progress;
  const grpc::Status status = Ingest(
      {Request("guide.md", "# Cats\n\nHow to feed", false), Request("guide.md", " a kitten.\n"),
       Request("page.html", "<h1>Dogs</h1><p>Walks &amp; food."), Request("empty.txt", ""),
       Request("image.png", std::string("\x89PNG\0", 5)), Request("huge.txt", std::string(kHugeBytes, 'x'))},
      &progress);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(progress.documents(), 3u);
  EXPECT_EQ(progress.skipped().at("empty"), 1u);
  EXPECT_EQ(progress.skipped().at("not text"), 1u);
  for (int round = 0; round < 2; ++round) {
    v1::SearchResponse found;
    ASSERT_TRUE(Search("feeding cats", &found).ok());
    ASSERT_EQ(found.results_size(), 1);
    EXPECT_EQ(found.results(0).source(), "guide.md");
    EXPECT_EQ(found.results(0).heading(), "Cats");
    EXPECT_EQ(found.results(0).text(), "How to feed a kitten.");
    EXPECT_EQ(found.results(0).lexical_rank(), 1u);
    EXPECT_EQ(found.results(0).dense_rank(), 0u);
    EXPECT_GT(found.results(0).score(), 0);
    StopServer();
    StartServer();
  }
  EXPECT_NE(metrics_.Exposition().find("conclave_retriever_documents_total 3"), std::string::npos);
  EXPECT_NE(metrics_.Exposition().find("conclave_retriever_skipped_total{reason=\"not text\"} 1"),
            std::string::npos);
}

TEST_F(RetrieverServiceTest, ManyDocumentsAreAllAcknowledged) {
  std::vector<v1::IngestRequest> requests;
  for (int i = 0; i < 500; ++i)
    requests.push_back(Request("s" + std::to_string(i), "number n" + std::to_string(i)));
  v1::IngestResponse progress;
  ASSERT_TRUE(Ingest(requests, &progress).ok());
  EXPECT_EQ(progress.documents(), 500u);
  v1::SearchResponse found;
  ASSERT_TRUE(Search("n217", &found).ok());
  ASSERT_EQ(found.results_size(), 1);
  EXPECT_EQ(found.results(0).source(), "s217");
  ASSERT_TRUE(Search("number", &found, "c", 1000).ok());
  EXPECT_EQ(found.results_size(), 500);
}

TEST_F(RetrieverServiceTest, DeletesAndLists) {
  v1::IngestResponse progress;
  ASSERT_TRUE(
      Ingest({Request("a", "apple"), Request("b", "apple"), Request("x", "pear", true, "other")}, &progress)
          .ok());
  v1::DeleteRequest request;
  request.set_collection("c");
  request.set_source("a");
  v1::DeleteResponse deleted;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->Delete(&context, request, &deleted).ok());
    EXPECT_EQ(deleted.documents(), 1u);
  }
  v1::SearchResponse found;
  ASSERT_TRUE(Search("apple", &found).ok());
  EXPECT_EQ(found.results_size(), 1);
  {
    grpc::ClientContext context;
    EXPECT_EQ(stub_->Delete(&context, request, &deleted).error_code(), grpc::StatusCode::NOT_FOUND);
  }
  v1::ListCollectionsResponse list;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->ListCollections(&context, {}, &list).ok());
  }
  ASSERT_EQ(list.collections_size(), 2);
  EXPECT_EQ(list.collections(0).name(), "c");
  EXPECT_EQ(list.collections(0).documents(), 1u);
  request.clear_source();
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Delete(&context, request, &deleted).ok());
  EXPECT_EQ(SearchCode("apple"), grpc::StatusCode::NOT_FOUND);
}

TEST_F(RetrieverServiceTest, BadInputGetsAPreciseStatus) {
  v1::IngestResponse progress;
  ASSERT_TRUE(Ingest({Request("a", "apple")}, &progress).ok());
  EXPECT_EQ(SearchCode(""), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(SearchCode("apple", "nosuch"), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(SearchCode("apple", "../c"), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(SearchCode("apple", "c\n"), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(SearchCode("apple", "c", 1001), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(SearchCode(std::string(kMaxQueryBytes + 1, 'x')), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(SearchCode("!?"), grpc::StatusCode::OK);
  std::string long_query;
  while (long_query.size() + 8 < kMaxQueryBytes) long_query += "t" + std::to_string(long_query.size()) + " ";
  EXPECT_EQ(SearchCode(long_query + " apple"), grpc::StatusCode::OK);
  for (const auto& bad : {Request("a", "x", true, ""), Request("a", "x", true, "a/b"), Request("", "x"),
                          Request("half", "x", false)}) {
    EXPECT_EQ(Ingest({bad}, &progress).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  v1::IngestRequest unknown_format = Request("a", "x");
  unknown_format.set_format(static_cast<v1::DocumentFormat>(77));
  EXPECT_EQ(Ingest({unknown_format}, &progress).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(RetrieverServiceTest, ADrainingServiceTakesNoNewDocuments) {
  grpc::ClientContext context;
  SetDeadline(context);
  const auto stream = stub_->Ingest(&context);
  ASSERT_TRUE(stream->Write(Request("a", "apple")));
  v1::IngestResponse progress;
  ASSERT_TRUE(stream->Read(&progress));
  EXPECT_EQ(progress.documents(), 1u);
  module_->StartDrain();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!module_->Drained()) ASSERT_LT(std::chrono::steady_clock::now(), limit);
  stream->Write(Request("b", "banana"));
  EXPECT_FALSE(stream->Read(&progress));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(RetrieverServiceTest, TenantsAreApart) {
  v1::IngestRequest request = Request("a", "apple");
  request.set_tenant("other");
  v1::IngestResponse progress;
  ASSERT_TRUE(Ingest({request}, &progress).ok());
  EXPECT_EQ(SearchCode("apple"), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace conclave::retriever
