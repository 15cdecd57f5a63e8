#pragma once

#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "platform/module.h"
#include "platform/rpc/server.h"
#include "services/experts/experts_service.h"
#include "tests/support/small_llama.h"
#include "tests/support/temporary_folder.h"

namespace conclave::experts {

using conclave::testing::MatrixType;

/// The input of a layer: random numbers, and what the kernels and the wire make of them.
struct LayerInput {
  LayerInput(int64_t tokens, int64_t hidden, bool quantised, uint32_t seed) : floats(tokens * hidden) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (float& x : floats) x = normal(random);
    input.tokens = tokens;
    input.x = floats.data();
    if (!quantised) return;
    blocks.Resize(tokens, hidden);
    for (int64_t row = 0; row < tokens; ++row) {
      engine::BestKernels().quantise_row(floats.data() + row * hidden, row, blocks);
    }
    input.x8 = &blocks;
  }
  LayerInput(const LayerInput&) = delete;

  v1::ExchangeRequest Request(uint64_t frame, uint32_t layer, const std::string& model_hash) const {
    v1::ExchangeRequest request;
    request.set_frame(frame);
    request.set_layer(layer);
    request.set_model_hash(model_hash);
    v1::Tensor& tensor = *request.mutable_input();
    tensor.add_shape(static_cast<uint32_t>(input.tokens));
    tensor.add_shape(static_cast<uint32_t>(static_cast<int64_t>(floats.size()) / input.tokens));
    tensor.set_dtype(input.x8 != nullptr ? v1::TENSOR_DTYPE_Q8_BLOCK32 : v1::TENSOR_DTYPE_F32);
    if (input.x8 == nullptr) {
      tensor.set_data(floats.data(), floats.size() * sizeof(float));
      return request;
    }
    for (size_t block = 0; block < blocks.scales.size(); ++block) {
      tensor.mutable_data()->append(reinterpret_cast<const char*>(&blocks.scales[block]), sizeof(float));
      tensor.mutable_data()->append(reinterpret_cast<const char*>(&blocks.q[block * 32]), 32);
    }
    return request;
  }

  std::vector<float> floats;
  engine::QuantisedRows blocks;
  engine::FeedForwardInput input;
};

/// One Exchange stream.
class ExchangeClient {
 public:
  explicit ExchangeClient(v1::ExpertsService::Stub& stub) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(120));
    stream_ = stub.Exchange(&context_);
  }

  bool Send(const v1::ExchangeRequest& request) { return stream_->Write(request); }
  std::optional<v1::ExchangeResponse> Receive() {
    v1::ExchangeResponse response;
    if (!stream_->Read(&response)) return std::nullopt;
    return response;
  }
  void HalfClose() { stream_->WritesDone(); }
  void TryCancel() { context_.TryCancel(); }
  grpc::Status Finish() { return stream_->Finish(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ExchangeRequest, v1::ExchangeResponse>> stream_;
};

/// A shard with some slices of a small model, served over a Unix socket.
class ShardTest : public ::testing::TestWithParam<MatrixType> {
 protected:
  static constexpr char kHash[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

  void SetUp() override { Serve({0, 1, 2, 3}); }
  void TearDown() override { Stop(); }

  void Serve(std::vector<int64_t> slices, size_t max_message_bytes = 64 << 20) {
    Stop();
    file_ = *engine::OpenModelFile(
        folder_.Write("small.gguf", conclave::testing::SmallLlama(GetParam()).Bytes()));
    const engine::ModelDescription description = *engine::DescribeModel(*file_);
    shard_ = *engine::FeedForwardShard::Load(*file_, description, std::move(slices), *pool_);
    own_ = *engine::FeedForwardShard::Load(*file_, description, shard_->experts(), own_pool_);
    computer_ = std::make_shared<FrameComputer>(shard_, pool_, kHash);
    actor_ = actors_.get().spawn<ShardActor, caf::detached>(computer_);
    v1::ExpertsServiceDescribeResponse shown;
    shown.set_layers(static_cast<uint32_t>(shard_->layers()));
    service_ = std::make_unique<ExpertsService>(actor_, computer_, shown);
    platform::ServerOptions options;
    options.addresses = {"unix:" + folder_.path() + "/shard.sock"};
    options.max_message_bytes = max_message_bytes;
    auto server =
        platform::Server::Start(options, {{v1::ExpertsService::service_full_name(), service_.get()}});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = *std::move(server);
    auto channel = platform::OpenChannel(server_->addresses().front(), {}, 64 << 20);
    ASSERT_TRUE(channel.ok()) << channel.status().ToString();
    stub_ = v1::ExpertsService::NewStub(*channel);
  }

  void Stop() {
    stub_.reset();
    if (server_) server_->Shutdown(std::chrono::milliseconds(0));
    server_.reset();
    service_.reset();
    if (!actor_) return;
    caf::scoped_actor self{actors_.get()};
    self->send_exit(actor_, caf::exit_reason::user_shutdown);
    self->wait_for(actor_);
    actor_ = nullptr;
  }

  std::unique_ptr<LayerInput> Input(int64_t tokens, uint32_t seed) {
    return std::make_unique<LayerInput>(tokens, shard_->hidden(), shard_->quantised(0), seed);
  }

  /// What the slices give by function call.
  std::vector<float> Computed(int64_t layer, const engine::FeedForwardInput& input) {
    std::vector<float> out(own_->experts().size() * input.tokens * own_->hidden());
    own_->Compute(layer, input, own_->CommonWork(layer, input.tokens), own_pool_, out.data());
    return out;
  }

  /// Whether a response holds exactly these numbers, [slices, tokens, hidden].
  void ExpectHolds(const std::optional<v1::ExchangeResponse>& response, uint64_t frame,
                   const std::vector<float>& numbers, int64_t tokens) {
    ASSERT_TRUE(response.has_value()) << "the stream ended";
    EXPECT_EQ(response->frame(), frame);
    const v1::Tensor& output = response->output();
    EXPECT_EQ(output.dtype(), v1::TENSOR_DTYPE_F32);
    ASSERT_EQ(output.shape_size(), 3);
    EXPECT_EQ(output.shape(0), own_->experts().size());
    EXPECT_EQ(output.shape(1), tokens);
    EXPECT_EQ(output.shape(2), own_->hidden());
    ASSERT_EQ(output.data().size(), numbers.size() * sizeof(float));
    EXPECT_EQ(std::memcmp(output.data().data(), numbers.data(), output.data().size()), 0);
  }

  /// A fresh stream is served as if nothing had happened before.
  void ExpectStillServes() {
    const auto input = Input(2, 99);
    ExchangeClient client(*stub_);
    ASSERT_TRUE(client.Send(input->Request(0, 1, kHash)));
    ExpectHolds(client.Receive(), 0, Computed(1, input->input), 2);
    client.HalfClose();
    EXPECT_TRUE(client.Finish().ok());
  }

  conclave::testing::TemporaryFolder folder_;
  platform::ActorSystem actors_;
  std::shared_ptr<engine::ThreadPool> pool_ = std::make_shared<engine::ThreadPool>(1);
  engine::ThreadPool own_pool_{1};
  std::unique_ptr<engine::ModelFile> file_;
  std::shared_ptr<engine::FeedForwardShard> shard_;
  std::shared_ptr<engine::FeedForwardShard> own_;  ///< the same slices, for the test itself
  std::shared_ptr<FrameComputer> computer_;
  caf::actor actor_;
  std::unique_ptr<ExpertsService> service_;
  std::unique_ptr<platform::Server> server_;
  std::unique_ptr<v1::ExpertsService::Stub> stub_;
};

inline std::string MatrixTypeName(const ::testing::TestParamInfo<MatrixType>& info) {
  return info.param == MatrixType::kF32 ? "F32" : "Q8_0";
}

}  // namespace conclave::experts
