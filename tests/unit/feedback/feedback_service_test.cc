#include "services/feedback/feedback_service.h"

#include <thread>

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "platform/rpc/server.h"
#include "platform/state/open_state_store.h"
#include "services/feedback/feedback_module.h"
#include "services/feedback/limits.h"
#include "tests/unit/feedback/feedback_fixture.h"

namespace conclave::feedback {
namespace {

/// The whole module behind an in-process channel.
class FeedbackServiceTest : public ::testing::Test {
 protected:
  void SetUp() override { StartServer(); }
  void TearDown() override { StopServer(); }

  platform::ModuleContext Context() {
    return {config_, process_, actors_.get(), channels_, metrics_, state_.get(), folder_.path() + "/data", {}};
  }

  void StartServer() {
    auto state = platform::OpenStateStore(config_.state, folder_.path() + "/state");
    ASSERT_TRUE(state.ok()) << state.status().ToString();
    state_ = std::move(state).value();
    auto module = MakeFeedbackModule(Context());
    ASSERT_TRUE(module.ok()) << module.status().ToString();
    module_ = std::move(module).value();
    auto server = platform::Server::Start({}, {{module_->proto_name(), module_->service()}});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(server).value();
    stub_ = v1::FeedbackService::NewStub(server_->InProcessChannel());
  }

  void StopServer() {
    stub_.reset();
    if (server_) server_->Shutdown(std::chrono::milliseconds(0));
    server_.reset();
    module_.reset();
    state_.reset();
  }

  static std::chrono::system_clock::time_point Deadline() {
    return std::chrono::system_clock::now() + std::chrono::seconds(60);
  }

  std::string Record(const v1::RecordRequest& record) {
    grpc::ClientContext context;
    context.set_deadline(Deadline());
    v1::RecordResponse response;
    const grpc::Status status = stub_->Record(&context, record, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.vote_token();
  }

  grpc::Status Rate(const v1::RateRequest& rating, std::string* rating_id = nullptr) {
    grpc::ClientContext context;
    context.set_deadline(Deadline());
    v1::RateResponse response;
    const grpc::Status status = stub_->Rate(&context, rating, &response);
    if (rating_id != nullptr) *rating_id = response.rating_id();
    return status;
  }

  std::vector<v1::ExportResponse> Export(v1::ExportFormat format) {
    grpc::ClientContext context;
    context.set_deadline(Deadline());
    v1::ExportRequest request;
    request.set_format(format);
    auto reader = stub_->Export(&context, request);
    std::vector<v1::ExportResponse> lines;
    for (v1::ExportResponse line; reader->Read(&line);) lines.push_back(line);
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return lines;
  }

  TemporaryFolder folder_;
  platform::Config config_;
  platform::ProcessConfig process_;
  platform::ActorSystem actors_;
  platform::ChannelRegistry channels_{{}, {}, 1 << 20};
  platform::Metrics metrics_;
  std::unique_ptr<platform::StateStore> state_;
  std::unique_ptr<platform::ServiceModule> module_;
  std::unique_ptr<platform::Server> server_;
  std::unique_ptr<v1::FeedbackService::Stub> stub_;
};

TEST_F(FeedbackServiceTest, RecordRateExport) {
  const std::string token = Record(ChatAnswer("a"));
  std::string rating_id;
  ASSERT_TRUE(Rate(Rating("a", token, ThumbVote(v1::THUMB_GOOD)), &rating_id).ok());
  const auto lines = Export(v1::EXPORT_FORMAT_UNPAIRED);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].rating_ids(0), rating_id);
  EXPECT_TRUE(module_->Drained());
}

TEST_F(FeedbackServiceTest, StatusesReachTheClient) {
  const std::string token = Record(ChatAnswer("a"));
  EXPECT_EQ(Rate(Rating("a", token, StarsVote(9))).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Rate(Rating("a", "v1.forged.token", StarsVote(3))).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Rate(Rating("b", token, StarsVote(3))).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(Rate(Rating("a", token, StarsVote(3))).ok());
  EXPECT_EQ(Rate(Rating("a", token, StarsVote(3))).error_code(), grpc::StatusCode::ALREADY_EXISTS);
  const std::string exposition = metrics_.Exposition();
  for (const char* reason : {"INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED", "ALREADY_EXISTS"}) {
    EXPECT_NE(exposition.find(reason), std::string::npos) << reason;
  }
}

TEST_F(FeedbackServiceTest, TenantComesFromTheCall) {
  v1::RecordRequest record = ChatAnswer("a");
  record.set_tenant("");
  grpc::ClientContext context;
  context.AddMetadata(platform::kTenantKey, "acme");
  v1::RecordResponse response;
  ASSERT_TRUE(stub_->Record(&context, record, &response).ok());
  EXPECT_EQ(Rate(Rating("a", response.vote_token(), StarsVote(3))).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  grpc::ClientContext as_acme;
  as_acme.AddMetadata(platform::kTenantKey, "acme");
  v1::RateResponse rated;
  EXPECT_TRUE(stub_->Rate(&as_acme, Rating("a", response.vote_token(), StarsVote(3)), &rated).ok());
  EXPECT_TRUE(Export(v1::EXPORT_FORMAT_RATINGS).empty()) << "the default tenant has none";
}

TEST_F(FeedbackServiceTest, RestartKeepsTokensAndRatings) {
  const std::string used = Record(ChatAnswer("a"));
  const std::string unused = Record(ChatAnswer("b"));
  ASSERT_TRUE(Rate(Rating("a", used, StarsVote(3))).ok());
  StopServer();
  StartServer();
  EXPECT_EQ(Rate(Rating("a", used, StarsVote(3))).error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_TRUE(Rate(Rating("b", unused, StarsVote(3))).ok());
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS).size(), 2u);
}

TEST_F(FeedbackServiceTest, LockedDataDirectoryIsNamed) {
  const auto second = MakeFeedbackModule(Context());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(second.status().message().find(folder_.path() + "/data"), std::string::npos)
      << second.status().message();
}

TEST_F(FeedbackServiceTest, StreamAnswersInOrderAndSurvivesBadRatings) {
  constexpr int kCount = 3 * static_cast<int>(kMaxStreamInFlight);
  std::vector<std::string> tokens;
  for (int i = 0; i < kCount; ++i) tokens.push_back(Record(ChatAnswer("r" + std::to_string(i))));
  grpc::ClientContext context;
  context.set_deadline(Deadline());
  auto stream = stub_->RateStream(&context);
  std::thread writer([&] {
    for (int i = 0; i < kCount; ++i) {
      v1::RateStreamRequest request;
      request.set_id(static_cast<uint64_t>(i));
      const std::string& token = i % 3 == 1 ? tokens[0] : tokens[i];
      *request.mutable_rating() = Rating("r" + std::to_string(i), token, StarsVote(i % 3 == 2 ? 0 : 5));
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
  });
  int read = 0;
  for (v1::RateStreamResponse response; stream->Read(&response); ++read) {
    EXPECT_EQ(response.id(), static_cast<uint64_t>(read));
    const grpc::StatusCode expected[] = {grpc::StatusCode::OK, grpc::StatusCode::PERMISSION_DENIED,
                                         grpc::StatusCode::INVALID_ARGUMENT};
    EXPECT_EQ(response.error_code(), static_cast<int>(expected[read % 3])) << response.error_message();
    EXPECT_EQ(response.rating_id().empty(), read % 3 != 0);
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(read, kCount);
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS).size(), static_cast<size_t>(kCount / 3));
}

TEST_F(FeedbackServiceTest, ExportIsOfTheMomentItBegan) {
  for (int i = 0; i < 20; ++i) {
    const std::string id = "r" + std::to_string(i);
    ASSERT_TRUE(Rate(Rating(id, Record(ChatAnswer(id)), StarsVote(5))).ok());
  }
  grpc::ClientContext context;
  context.set_deadline(Deadline());
  v1::ExportRequest request;
  request.set_format(v1::EXPORT_FORMAT_RATINGS);
  auto reader = stub_->Export(&context, request);
  v1::ExportResponse line;
  ASSERT_TRUE(reader->Read(&line));
  // An export that nobody reads on must not keep ratings from being taken.
  ASSERT_TRUE(Rate(Rating("late", Record(ChatAnswer("late")), StarsVote(5))).ok());
  int lines = 1;
  while (reader->Read(&line)) ++lines;
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(lines, 20);
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS).size(), 21u);
}

TEST_F(FeedbackServiceTest, ExportsAreBoundedAndGoWithTheirClients) {
  const std::string text(size_t{1} << 20, 'x');
  for (int i = 0; i < 8; ++i) {
    const std::string id = "r" + std::to_string(i);
    ASSERT_TRUE(Rate(Rating(id, Record(ChatAnswer(id, "Hello?", text)), StarsVote(5))).ok());
  }
  v1::ExportRequest request;
  request.set_format(v1::EXPORT_FORMAT_UNPAIRED);
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::ExportResponse>>> readers;
  v1::ExportResponse line;
  for (size_t i = 0; i < kMaxExports; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(stub_->Export(contexts.back().get(), request));
    ASSERT_TRUE(readers.back()->Read(&line)) << i;
  }
  grpc::ClientContext one_more;
  auto refused = stub_->Export(&one_more, request);
  EXPECT_FALSE(refused->Read(&line));
  EXPECT_EQ(refused->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  for (auto& context : contexts) context->TryCancel();
  for (auto& reader : readers) EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  // Their places become free; when is the service's affair, within the deadline.
  const auto deadline = Deadline();
  size_t lines = 0;
  while (lines == 0 && std::chrono::system_clock::now() < deadline) {
    grpc::ClientContext context;
    auto reader = stub_->Export(&context, request);
    while (reader->Read(&line)) ++lines;
    (void)reader->Finish();
  }
  EXPECT_EQ(lines, 8u);
}

TEST_F(FeedbackServiceTest, ExportWithoutAFormatIsRefused) {
  grpc::ClientContext context;
  auto reader = stub_->Export(&context, {});
  v1::ExportResponse line;
  EXPECT_FALSE(reader->Read(&line));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(FeedbackServiceTest, ClientThatVanishesMidStreamLeavesNothingBehind) {
  {
    grpc::ClientContext context;
    auto stream = stub_->RateStream(&context);
    v1::RateStreamRequest request;
    *request.mutable_rating() = Rating("a", Record(ChatAnswer("a")), StarsVote(5));
    EXPECT_TRUE(stream->Write(request));
    context.TryCancel();
    (void)stream->Finish();
  }
  const std::string token = Record(ChatAnswer("b"));
  EXPECT_TRUE(Rate(Rating("b", token, StarsVote(5))).ok());
  EXPECT_LE(Export(v1::EXPORT_FORMAT_RATINGS).size(), 2u);
}

}  // namespace
}  // namespace conclave::feedback
