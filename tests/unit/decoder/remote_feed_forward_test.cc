#include "services/decoder/remote_feed_forward.h"

#include <atomic>
#include <cstring>

#include <gtest/gtest.h>

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
      if (failures > 0 && failures-- > 0) return {failure_code, "the shard failed"};
      std::vector<float> x(request.input().data().size() / sizeof(float));
      std::memcpy(x.data(), request.input().data().data(), request.input().data().size());
      v1::ExchangeResponse response;
      response.set_frame(request.frame());
      response.mutable_output()->set_dtype(v1::TENSOR_DTYPE_F32);
      const auto tokens = static_cast<uint32_t>(x.size() / kHidden);
      for (const uint32_t size : {static_cast<uint32_t>(slices_.size()), tokens, uint32_t{kHidden}}) {
        response.mutable_output()->add_shape(size);
      }
      for (const uint32_t slice : slices_) {
        for (float value : x) {
          value *= static_cast<float>(slice + 1);
          response.mutable_output()->mutable_data()->append(reinterpret_cast<char*>(&value), sizeof value);
        }
      }
      stream->Write(response);
    }
    return grpc::Status::OK;
  }

  std::string model_hash = "hash";
  std::atomic<int> failures = 0;
  grpc::StatusCode failure_code = grpc::StatusCode::UNAVAILABLE;

 private:
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
    remote_ = std::make_unique<RemoteFeedForward>(
        std::move(links),
        RemoteFeedForward::Expectation{.model_hash = "hash", .layers = 2, .hidden = kHidden, .slices = 3});
  }

  Status Add(int64_t tokens) {
    input_.assign(tokens * kHidden, 1.0f);
    residual_.assign(tokens * kHidden, 10.0f);
    return remote_->AddTo(1, {.tokens = tokens, .x = input_.data()}, pool_, residual_.data());
  }

  FakeExperts first_{{0, 2}};
  FakeExperts second_{{1}};
  FakeExperts overlapping_{{1, 2}};
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

TEST_F(RemoteFeedForwardTest, BrokenLinkIsTriedAgain) {
  Start({&first_, &second_});
  first_.failures = 2;
  ASSERT_TRUE(Add(3).ok());
  EXPECT_EQ(residual_, std::vector<float>(3 * kHidden, 16.0f));
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
  Start({&first_, &second_});
  second_.failure_code = grpc::StatusCode::DEADLINE_EXCEEDED;
  second_.failures = 1;
  EXPECT_EQ(Add(1).code(), StatusCode::kUnavailable);
}

TEST_F(RemoteFeedForwardTest, EverySliceHasExactlyOneHome) {
  Start({&first_, &overlapping_});
  EXPECT_EQ(Add(1).code(), StatusCode::kUnavailable);
  Start({&first_});
  EXPECT_EQ(Add(1).code(), StatusCode::kUnavailable);
}

TEST_F(RemoteFeedForwardTest, AnotherModelIsRefused) {
  second_.model_hash = "other";
  Start({&first_, &second_});
  EXPECT_EQ(Add(1).code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace conclave::decoder
