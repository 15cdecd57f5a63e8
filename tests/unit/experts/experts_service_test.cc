#include "services/experts/experts_service.h"

#include <cmath>
#include <limits>

#include "tests/unit/experts/shard_fixture.h"

namespace conclave::experts {
namespace {

class ExpertsServiceTest : public ShardTest {};

INSTANTIATE_TEST_SUITE_P(MatrixTypes, ExpertsServiceTest,
                         ::testing::Values(MatrixType::kF32, MatrixType::kQ8_0), MatrixTypeName);

TEST_P(ExpertsServiceTest, AnswersWithTheBitsOfAFunctionCall) {
  ExchangeClient client(*stub_);
  uint64_t frame = 0;
  for (const int64_t tokens : {1, 2, 33, 200, 1}) {
    for (const uint32_t layer : {0u, 1u}) {
      const auto input = Input(tokens, static_cast<uint32_t>(frame));
      ASSERT_TRUE(client.Send(input->Request(frame, layer, kHash)));
      ExpectHolds(client.Receive(), frame, Computed(layer, input->input), tokens);
      ++frame;
    }
  }
  client.HalfClose();
  EXPECT_TRUE(client.Finish().ok());
}

TEST_P(ExpertsServiceTest, SlicesAddedInOrderAreTheLocalFeedForward) {
  const auto input = Input(5, 1);
  const int64_t hidden = shard_->hidden();
  std::vector<float> residual(5 * hidden, 0.25f);
  std::vector<float> expected = residual;
  ASSERT_TRUE(engine::LocalFeedForward(own_).AddTo(1, input->input, own_pool_, expected.data()).ok());
  ExchangeClient client(*stub_);
  ASSERT_TRUE(client.Send(input->Request(0, 1, kHash)));
  const auto response = client.Receive();
  ASSERT_TRUE(response.has_value());
  std::vector<float> outputs(response->output().data().size() / sizeof(float));
  std::memcpy(outputs.data(), response->output().data().data(), response->output().data().size());
  engine::ExpertDispatch dispatch;
  dispatch.Plan({.routed = 0, .common = 4}, 5, nullptr);
  dispatch.AddTo(outputs.data(), hidden, own_pool_, residual.data());
  EXPECT_EQ(residual, expected);
}

TEST_P(ExpertsServiceTest, ExpertsComputeTheRowsTheyAreGiven) {
  Serve({3, 1, 0});
  const auto input = Input(4, 7);
  const std::vector<int32_t> rows = {0, 2, 3};
  const std::vector<engine::ExpertWork> work = {{.expert = 0, .tokens = 3, .rows = rows.data()},
                                                {.expert = 3, .tokens = 4, .rows = nullptr}};
  std::vector<float> expected(7 * static_cast<size_t>(shard_->hidden()));
  own_->Compute(1, input->input, work, own_pool_, expected.data());

  v1::ExchangeRequest request = input->Request(0, 1, kHash);
  v1::ExpertTokens& some = *request.add_experts();
  some.set_expert(0);
  some.mutable_rows()->Add(rows.begin(), rows.end());
  request.add_experts()->set_expert(3);
  ExchangeClient client(*stub_);
  ASSERT_TRUE(client.Send(request));
  const auto response = client.Receive();
  ASSERT_TRUE(response.has_value());
  const v1::Tensor& output = response->output();
  ASSERT_EQ(output.shape_size(), 2);
  EXPECT_EQ(output.shape(0), 7u);
  EXPECT_EQ(output.shape(1), shard_->hidden());
  ASSERT_EQ(output.data().size(), expected.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(output.data().data(), expected.data(), output.data().size()), 0);
}

TEST_P(ExpertsServiceTest, SomeSlicesAnswerForThemselves) {
  Serve({3, 1});
  const auto input = Input(3, 2);
  ExchangeClient client(*stub_);
  ASSERT_TRUE(client.Send(input->Request(0, 0, kHash)));
  const auto numbers = Computed(0, input->input);
  EXPECT_EQ(numbers.size(), 2u * 3 * static_cast<size_t>(shard_->hidden()));
  ExpectHolds(client.Receive(), 0, numbers, 3);
}

TEST_P(ExpertsServiceTest, FramesThatWaitAreAnsweredInOrder) {
  constexpr uint64_t kFrames = 100;
  ExchangeClient client(*stub_);
  std::vector<std::unique_ptr<LayerInput>> inputs;
  for (uint64_t frame = 0; frame < kFrames; ++frame) {
    inputs.push_back(Input(1 + static_cast<int64_t>(frame % 3), static_cast<uint32_t>(frame)));
    ASSERT_TRUE(client.Send(inputs.back()->Request(frame, frame % 2, frame == 0 ? kHash : "")));
  }
  client.HalfClose();
  for (uint64_t frame = 0; frame < kFrames; ++frame) {
    const auto& input = inputs[frame]->input;
    ExpectHolds(client.Receive(), frame, Computed(static_cast<int64_t>(frame % 2), input), input.tokens);
  }
  EXPECT_TRUE(client.Finish().ok());
}

TEST_P(ExpertsServiceTest, StreamsCountTheirOwnFrames) {
  ExchangeClient first(*stub_);
  ExchangeClient second(*stub_);
  const auto a = Input(1, 1);
  const auto b = Input(4, 2);
  for (uint64_t frame = 0; frame < 3; ++frame) {
    ASSERT_TRUE(first.Send(a->Request(frame, 0, kHash)));
    ASSERT_TRUE(second.Send(b->Request(frame, 1, kHash)));
    ExpectHolds(second.Receive(), frame, Computed(1, b->input), 4);
    ExpectHolds(first.Receive(), frame, Computed(0, a->input), 1);
  }
}

TEST_P(ExpertsServiceTest, VanishedClientIsForgotten) {
  {
    ExchangeClient client(*stub_);
    const auto input = Input(500, 1);
    for (uint64_t frame = 0; frame < 5; ++frame) ASSERT_TRUE(client.Send(input->Request(frame, 0, kHash)));
    client.TryCancel();
    EXPECT_EQ(client.Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  ExpectStillServes();
}

TEST_P(ExpertsServiceTest, DescribeSaysWhatLivesHere) {
  grpc::ClientContext context;
  v1::ExpertsServiceDescribeResponse response;
  ASSERT_TRUE(stub_->Describe(&context, {}, &response).ok());
  EXPECT_EQ(response.layers(), 2u);
}

/// A decoder's sequence that became NaN is that sequence's failure, not its neighbours': the frame is
/// computed as a function call would do it.
TEST_P(ExpertsServiceTest, NanOfOneTokenStaysWithIt) {
  const auto whole = Input(4, 3);
  const int64_t hidden = shard_->hidden();
  auto broken = Input(4, 3);
  broken->floats[2 * hidden + 5] = std::numeric_limits<float>::quiet_NaN();
  if (broken->input.x8 != nullptr) {
    engine::BestKernels().quantise_row(broken->floats.data() + 2 * hidden, 2, broken->blocks);
  }
  ExchangeClient client(*stub_);
  ASSERT_TRUE(client.Send(broken->Request(0, 0, kHash)));
  const auto response = client.Receive();
  ASSERT_TRUE(response.has_value()) << client.Finish().error_message();
  const auto expected = Computed(0, whole->input);
  std::vector<float> numbers(expected.size());
  ASSERT_EQ(response->output().data().size(), numbers.size() * sizeof(float));
  std::memcpy(numbers.data(), response->output().data().data(), response->output().data().size());
  for (size_t i = 0; i < numbers.size(); ++i) {
    const bool broken_row = static_cast<int64_t>(i) / hidden % 4 == 2;
    EXPECT_EQ(std::isnan(numbers[i]), broken_row) << i;
    if (!broken_row) EXPECT_EQ(numbers[i], expected[i]) << i;
  }
}

}  // namespace
}  // namespace conclave::experts
