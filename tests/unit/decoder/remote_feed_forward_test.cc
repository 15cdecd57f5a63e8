#include "services/decoder/remote_feed_forward.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include <gtest/gtest.h>

#include "platform/exchange/frame_checksum.h"
#include "platform/rpc/grpc_runtime.h"

namespace conclave::decoder {
namespace {

constexpr int64_t kHidden = 4;

/// A shard whose slice s answers with (s + 1) times its input.
class FakeExperts final : public v1::ExpertsService::Service {
 public:
  explicit FakeExperts(std::vector<uint32_t> slices) : slices_(std::move(slices)) {}

  grpc::Status Describe(grpc::ServerContext*, const v1::ExpertsServiceDescribeRequest*,
                        v1::ExpertsServiceDescribeResponse* response) override {
    response->mutable_model()->set_model_hash(model_hash);
    response->set_layers(2);
    response->set_hidden_size(kHidden);
    response->set_total_slices(3);
    response->mutable_slices()->Add(slices_.begin(), slices_.end());
    return grpc::Status::OK;
  }

  grpc::Status Exchange(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::ExchangeResponse, v1::ExchangeRequest>* stream) override {
    v1::ExchangeRequest request;
    while (stream->Read(&request)) {
      ++frames;
      while (silent) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (failures > 0 && failures-- > 0) return {failure_code, "the shard failed"};
      std::vector<float> x(request.input().data().size() / sizeof(float));
      std::memcpy(x.data(), request.input().data().data(), request.input().data().size());
      v1::ExchangeResponse response;
      response.set_frame(request.frame());
      response.mutable_output()->set_dtype(v1::TENSOR_DTYPE_F32);
      uint32_t rows = 0;
      for (const v1::ExpertTokens& work : request.experts()) rows += Answer(work, x, response);
      response.mutable_output()->add_shape(rows);
      response.mutable_output()->add_shape(kHidden);
      most_rows = std::max(most_rows.load(), rows);
      response.set_checksum(platform::FrameChecksum(response));
      if (damages > 0 && damages-- > 0) response.mutable_output()->mutable_data()->front() ^= 1;
      if (lies) response.mutable_output()->set_shape(0, rows + 1);
      if (lies) response.set_checksum(platform::FrameChecksum(response));
      if (unasked) stream->Write(response);
      stream->Write(response);
    }
    return grpc::Status::OK;
  }

  std::string model_hash = "hash";
  std::atomic<int> failures = 0;
  grpc::StatusCode failure_code = grpc::StatusCode::UNAVAILABLE;
  std::atomic<int> damages = 0;       ///< answers that arrive with a wrong bit
  std::atomic<bool> unasked = false;  ///< every answer comes twice
  std::atomic<bool> lies = false;     ///< answers have another shape than their numbers
  std::atomic<bool> silent = false;   ///< frames are taken and not answered
  std::atomic<int> frames = 0;        ///< that came

  std::atomic<uint32_t> most_rows = 0;  ///< of an answer

 private:
  /// How many rows were answered.
  static uint32_t Answer(const v1::ExpertTokens& work, const std::vector<float>& x,
                         v1::ExchangeResponse& response) {
    std::vector<uint32_t> rows(work.rows().begin(), work.rows().end());
    for (uint32_t row = 0; work.rows().empty() && row < x.size() / kHidden; ++row) rows.push_back(row);
    for (const uint32_t row : rows) {
      for (int64_t i = 0; i < kHidden; ++i) {
        const float value = x[row * kHidden + i] * static_cast<float>(work.expert() + 1);
        response.mutable_output()->mutable_data()->append(reinterpret_cast<const char*>(&value),
                                                          sizeof value);
      }
    }
    return static_cast<uint32_t>(rows.size());
  }

  std::vector<uint32_t> slices_;
};

class RemoteFeedForwardTest : public ::testing::Test {
 protected:
  ~RemoteFeedForwardTest() override {
    remote_.reset();
    for (auto& server : servers_) server->Shutdown();
  }

  void Start(std::vector<FakeExperts*> shards) {
    platform::KeepGrpcRunning();
    std::vector<std::unique_ptr<ExpertLink>> links;
    for (FakeExperts* shard : shards) {
      int port = 0;
      grpc::ServerBuilder builder;
      builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
      builder.RegisterService(shard);
      servers_.push_back(builder.BuildAndStart());
      links.push_back(std::make_unique<ExpertLink>(
          grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()),
          "the shard"));
    }
    remote_ = std::make_unique<RemoteFeedForward>(std::move(links),
                                                  ShardExpectation{.model_hash = "hash",
                                                                   .hidden = kHidden,
                                                                   .layers = {layers_, layers_},
                                                                   .answer_bytes = answer_bytes_,
                                                                   .layer_timeout = layer_timeout_});
  }

  Status Add(int64_t tokens) {
    input_.assign(tokens * kHidden, 1.0f);
    residual_.assign(tokens * kHidden, 10.0f);
    return remote_->AddTo(1, {.tokens = tokens, .x = input_.data()}, pool_, residual_.data());
  }

  engine::LayerExperts layers_{.routed = 0, .common = 3};
  int64_t answer_bytes_ = 1 << 20;
  std::chrono::milliseconds layer_timeout_ = kLayerTimeout;
  FakeExperts first_{{0, 2}};
  FakeExperts second_{{1}};
  FakeExperts overlapping_{{1, 2}};
  FakeExperts all_{{0, 1, 2}}, all_too_{{0, 1, 2}};
  std::vector<std::unique_ptr<grpc::Server>> servers_;
  std::unique_ptr<RemoteFeedForward> remote_;
  engine::ThreadPool pool_{1};
  std::vector<float> input_, residual_;
};

TEST_F(RemoteFeedForwardTest, SlicesOfAllShardsAreAddedOnce) {
  Start({&first_, &second_});
  for (const int64_t tokens : {1, 7, 2}) {
    ASSERT_TRUE(Add(tokens).ok());
    EXPECT_EQ(residual_, std::vector<float>(tokens * kHidden, 16.0f));
  }
}

/// Experts 0 and 2 live in one shard, 1 and the shared one in the other.
TEST_F(RemoteFeedForwardTest, TokensGoToTheirExperts) {
  layers_ = {.routed = 2, .common = 1};
  Start({&first_, &second_});
  const engine::Routing routing{
      .per_token = 1, .experts = {0, 1, 1, 0, 1}, .weights = {1.0f, 2.0f, 4.0f, 8.0f, 16.0f}};
  const std::vector<float> x = {1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5};
  residual_.assign(x.size(), 10.0f);
  ASSERT_TRUE(
      remote_->AddTo(0, {.tokens = 5, .x = x.data(), .routing = &routing}, pool_, residual_.data()).ok());
  // Expert e multiplies by e + 1, the shared one by 3.
  const float expected[] = {10 + 1 + 3, 10 + 2 * 2 * 2 + 6, 10 + 4 * 3 * 2 + 9, 10 + 8 * 4 + 12,
                            10 + 16 * 5 * 2 + 15};
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(residual_[i], expected[i / kHidden]) << i;
}

TEST_F(RemoteFeedForwardTest, LargeAnswersComeInSeveralFrames) {
  answer_bytes_ = 5 * kHidden * sizeof(float);
  Start({&first_, &second_});
  for (const int64_t tokens : {1, 5, 7, 23}) {
    ASSERT_TRUE(Add(tokens).ok());
    EXPECT_EQ(residual_, std::vector<float>(tokens * kHidden, 16.0f));
  }
  EXPECT_EQ(first_.most_rows, 5u);
  EXPECT_EQ(second_.most_rows, 5u);
}

TEST_F(RemoteFeedForwardTest, BrokenLinkIsTriedAgain) {
  Start({&first_, &second_});
  first_.failures = 2;
  ASSERT_TRUE(Add(3).ok());
  EXPECT_EQ(residual_, std::vector<float>(3 * kHidden, 16.0f));
}

TEST_F(RemoteFeedForwardTest, DamagedAnswerIsAskedForAgain) {
  Start({&first_, &second_});
  second_.damages = 2;
  ASSERT_TRUE(Add(3).ok());
  EXPECT_EQ(residual_, std::vector<float>(3 * kHidden, 16.0f));
  EXPECT_EQ(second_.damages, 0);
}

TEST_F(RemoteFeedForwardTest, AnswerThatNobodyAskedForIsNoAnswer) {
  Start({&first_, &second_});
  second_.unasked = true;
  ASSERT_TRUE(Add(3).ok());
  EXPECT_EQ(Add(3).code(), StatusCode::kInternal) << "frame 0 is answered twice";
  EXPECT_EQ(residual_, std::vector<float>(3 * kHidden, 10.0f));
}

TEST_F(RemoteFeedForwardTest, RefusalIsReportedAndLeavesTheResidualAlone) {
  Start({&first_, &second_});
  second_.failure_code = grpc::StatusCode::INVALID_ARGUMENT;
  second_.failures = 1;
  EXPECT_EQ(Add(2).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(residual_, std::vector<float>(2 * kHidden, 10.0f));
  EXPECT_TRUE(Add(2).ok()) << "the next step connects anew";
}

TEST_F(RemoteFeedForwardTest, SilentShardIsUnavailableAndNotTheClientsDeadline) {
  layer_timeout_ = std::chrono::milliseconds(200);
  Start({&first_, &second_});
  second_.silent = true;
  EXPECT_EQ(Add(1).code(), StatusCode::kUnavailable);
  second_.silent = false;
  EXPECT_TRUE(Add(1).ok());
}

TEST_F(RemoteFeedForwardTest, ExpertsMayLiveInSeveralShardsButNotInNone) {
  Start({&first_, &overlapping_});
  ASSERT_TRUE(Add(2).ok());
  EXPECT_EQ(residual_, std::vector<float>(2 * kHidden, 16.0f));
  layer_timeout_ = std::chrono::milliseconds(100);
  Start({&first_});
  const Status status = Add(1);
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(status.message().find("expert 1 of layer 1 lives in no shard"), std::string::npos)
      << status.message();
}

TEST_F(RemoteFeedForwardTest, ShardsWithTheSameExpertsShareTheWork) {
  Start({&all_, &all_too_});
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Add(3).ok());
  EXPECT_GE(all_.frames, 4);
  EXPECT_GE(all_too_.frames, 4);
}

TEST_F(RemoteFeedForwardTest, AShardsWorkIsDoneElsewhereWhenItBreaks) {
  Start({&all_, &all_too_});
  ASSERT_TRUE(Add(3).ok());
  all_.failures = 1;
  const int before = all_.frames;
  ASSERT_TRUE(Add(3).ok());
  EXPECT_EQ(residual_, std::vector<float>(3 * kHidden, 16.0f));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Add(3).ok());
  EXPECT_EQ(all_.frames, before + 1) << "it is left alone for a while";
  const auto deadline = std::chrono::steady_clock::now() + 100 * kFirstShardRest;
  while (all_.frames == before + 1 && std::chrono::steady_clock::now() < deadline) ASSERT_TRUE(Add(3).ok());
  EXPECT_EQ(all_.frames, before + 2) << "and then used again";
}

TEST_F(RemoteFeedForwardTest, AShardsWorkIsDoneElsewhereWhenItLies) {
  Start({&all_, &all_too_});
  all_.lies = true;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(Add(3).ok());
    EXPECT_EQ(residual_, std::vector<float>(3 * kHidden, 16.0f));
  }
}

TEST_F(RemoteFeedForwardTest, AShardsWorkIsDoneElsewhereWhenItIsSilent) {
  Start({&all_, &all_too_});
  ASSERT_TRUE(Add(3).ok());
  all_.silent = true;
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(Add(3).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, kLayerTimeout / 2);
  EXPECT_EQ(residual_, std::vector<float>(3 * kHidden, 16.0f));
  all_.silent = false;
}

TEST_F(RemoteFeedForwardTest, AShardOfAnotherModelIsNotNeededWhereOthersHaveItsExperts) {
  all_.model_hash = "other";
  Start({&all_too_, &all_});
  ASSERT_TRUE(Add(3).ok());
  EXPECT_EQ(all_.frames, 0);
}

TEST_F(RemoteFeedForwardTest, AnotherModelIsRefused) {
  second_.model_hash = "other";
  Start({&first_, &second_});
  EXPECT_EQ(Add(1).code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace conclave::decoder
