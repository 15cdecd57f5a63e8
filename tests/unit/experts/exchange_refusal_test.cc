#include <functional>
#include <limits>

#include <gmock/gmock.h>

#include "services/experts/limits.h"
#include "tests/unit/experts/shard_fixture.h"

namespace conclave::experts {
namespace {

using ::testing::HasSubstr;

/// Frames that a shard refuses: each ends its own stream with a precise status, and nothing else.
class ExchangeRefusalTest : public ShardTest {
 protected:
  using Change = std::function<void(v1::ExchangeRequest&)>;

  /// Sends a good frame and then one that `spoil` changed.
  void ExpectRefused(const Change& spoil, grpc::StatusCode code, const std::string& named) {
    SCOPED_TRACE(named);
    const auto input = Input(2, 1);
    ExchangeClient other(*stub_);
    ASSERT_TRUE(other.Send(input->Request(0, 0, kHash)));
    ExpectHolds(other.Receive(), 0, Computed(0, input->input), 2);

    ExchangeClient client(*stub_);
    ASSERT_TRUE(client.Send(input->Request(0, 0, kHash)));
    ExpectHolds(client.Receive(), 0, Computed(0, input->input), 2);
    v1::ExchangeRequest bad = input->Request(1, 1, "");
    spoil(bad);
    client.Send(bad);
    EXPECT_FALSE(client.Receive().has_value());
    const grpc::Status status = client.Finish();
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(named));

    ASSERT_TRUE(other.Send(input->Request(1, 1, "")));
    ExpectHolds(other.Receive(), 1, Computed(1, input->input), 2);
  }

  void ExpectInvalid(const Change& spoil, const std::string& named) {
    ExpectRefused(spoil, grpc::StatusCode::INVALID_ARGUMENT, named);
  }
};

INSTANTIATE_TEST_SUITE_P(MatrixTypes, ExchangeRefusalTest,
                         ::testing::Values(MatrixType::kF32, MatrixType::kQ8_0), MatrixTypeName);

TEST_P(ExchangeRefusalTest, LayerThatThereIsNot) {
  ExpectInvalid([](auto& frame) { frame.set_layer(2); }, "layer 2 of 2");
  ExpectInvalid([](auto& frame) { frame.set_layer(UINT32_MAX); }, "layer 4294967295 of 2");
}

TEST_P(ExchangeRefusalTest, ExpertsThatThereAreNot) {
  const auto wants = [](std::vector<uint32_t> experts, std::vector<uint32_t> rows = {}) {
    return [=](v1::ExchangeRequest& frame) {
      for (const uint32_t expert : experts) {
        v1::ExpertTokens& tokens = *frame.add_experts();
        tokens.set_expert(expert);
        tokens.mutable_rows()->Add(rows.begin(), rows.end());
      }
    };
  };
  ExpectInvalid(wants({4}), "expert 4 of 4 in layer 1");
  ExpectInvalid(wants({UINT32_MAX}), "expert 4294967295 of 4");
  ExpectInvalid(wants({1, 1}), "experts must be ascending");
  ExpectInvalid(wants({2, 0}), "expert 0 of 4 in layer 1; experts must be ascending");
  ExpectInvalid(wants({0}, {2}), "expert 0 is to compute row 2; rows of the 2 tokens must be ascending");
  ExpectInvalid(wants({0}, {1, 1}), "row 1");
  ExpectInvalid(wants({0}, {1, 0}), "row 0");
  ExpectInvalid(wants({0}, {UINT32_MAX}), "row 4294967295");
  Serve({0, 2});
  ExpectRefused(wants({0, 1}), grpc::StatusCode::FAILED_PRECONDITION,
                "expert 1 of layer 1 does not live here");
}

TEST_P(ExchangeRefusalTest, FrameOutOfOrder) {
  ExpectInvalid([](auto& frame) { frame.set_frame(0); }, "frame 0 came instead of 1");
  ExpectInvalid([](auto& frame) { frame.set_frame(2); }, "frame 2 came instead of 1");
}

TEST_P(ExchangeRefusalTest, ShapeThatDoesNotFit) {
  const std::string named = "[tokens, 64]";
  ExpectInvalid([](auto& frame) { frame.mutable_input()->clear_shape(); }, named);
  ExpectInvalid([](auto& frame) { frame.mutable_input()->add_shape(1); }, named);
  ExpectInvalid([](auto& frame) { frame.mutable_input()->set_shape(1, 63); }, named);
  ExpectInvalid([](auto& frame) { frame.mutable_input()->set_shape(0, 0); }, "0 came");
  ExpectInvalid([](auto& frame) { frame.mutable_input()->set_shape(0, UINT32_MAX); }, "4294967295 came");
  ExpectInvalid([](auto& frame) { frame.mutable_input()->set_shape(0, kMostFrameTokens + 1); },
                "1 to 4096 tokens");
}

TEST_P(ExchangeRefusalTest, BytesThatAreNotThatMany) {
  const bool floats = GetParam() == MatrixType::kF32;
  const std::string needs = "its shape needs " + std::to_string(floats ? 2 * 64 * 4 : 2 * 2 * 36);
  ExpectInvalid([](auto& frame) { frame.mutable_input()->mutable_data()->pop_back(); }, needs);
  ExpectInvalid([](auto& frame) { frame.mutable_input()->mutable_data()->push_back('x'); }, needs);
  ExpectInvalid([](auto& frame) { frame.mutable_input()->clear_data(); }, needs);
}

TEST_P(ExchangeRefusalTest, NumbersOfAnotherKind) {
  const bool floats = GetParam() == MatrixType::kF32;
  const auto other = floats ? v1::TENSOR_DTYPE_Q8_BLOCK32 : v1::TENSOR_DTYPE_F32;
  const std::string named = floats ? "must be TENSOR_DTYPE_F32" : "must be TENSOR_DTYPE_Q8_BLOCK32";
  ExpectInvalid([&](auto& frame) { frame.mutable_input()->set_dtype(other); }, named);
  ExpectInvalid([](auto& frame) { frame.mutable_input()->clear_dtype(); }, named);
  ExpectInvalid([](auto& frame) { frame.mutable_input()->set_dtype(static_cast<v1::TensorDtype>(77)); },
                "the unknown type 77 came");
  ExpectInvalid([](auto& frame) { frame.clear_input(); }, named);
}

TEST_P(ExchangeRefusalTest, BlocksThatTheKernelsDoNotMake) {
  if (GetParam() == MatrixType::kF32) return ExpectStillServes();
  const float infinity = std::numeric_limits<float>::infinity();
  ExpectInvalid(
      [&](auto& frame) {
        frame.mutable_input()->mutable_data()->replace(36, 4, reinterpret_cast<const char*>(&infinity), 4);
      },
      "scale that is infinite, in block 1");
  ExpectInvalid([](auto& frame) { frame.mutable_input()->mutable_data()->back() = static_cast<char>(-128); },
                "-128, in block 3");
}

TEST_P(ExchangeRefusalTest, AnotherModel) {
  const std::string other(64, 'f');
  ExpectRefused([&](auto& frame) { frame.set_model_hash(other); }, grpc::StatusCode::FAILED_PRECONDITION,
                "serves model 0123456789ab, not 'ffffffffffff'");
  for (const std::string& hash : {other, std::string(), std::string("0123456789ab")}) {
    ExchangeClient client(*stub_);
    const auto input = Input(1, 1);
    client.Send(input->Request(0, 0, hash));
    EXPECT_FALSE(client.Receive().has_value());
    EXPECT_EQ(client.Finish().error_code(), grpc::StatusCode::FAILED_PRECONDITION) << hash;
  }
  ExpectStillServes();
}

TEST_P(ExchangeRefusalTest, MessageLargerThanTheServerTakes) {
  Serve({0, 1, 2, 3}, 100'000);
  ExpectRefused([](auto& frame) { frame.mutable_input()->mutable_data()->resize(200'000); },
                grpc::StatusCode::RESOURCE_EXHAUSTED, "");
  ExpectStillServes();
}

TEST_P(ExchangeRefusalTest, AnswerLargerThanTheServerSends) {
  Serve({0, 1, 2, 3}, 100'000);
  const auto input = Input(150, 1);  // 38,400 bytes at most; four slices of it have 153,600.
  ExchangeClient client(*stub_);
  ASSERT_TRUE(client.Send(input->Request(0, 0, kHash)));
  EXPECT_FALSE(client.Receive().has_value());
  EXPECT_EQ(client.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  ExpectStillServes();
}

}  // namespace
}  // namespace conclave::experts
