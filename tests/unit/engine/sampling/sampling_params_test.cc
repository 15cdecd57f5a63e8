#include "engine/sampling/sampling_params.h"

#include <limits>

#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

void ExpectRange(double SamplingParams::* field, const std::string& name, const std::vector<double>& allowed,
                 const std::vector<double>& refused) {
  for (const double value : allowed) {
    SamplingParams params;
    params.*field = value;
    EXPECT_TRUE(Validate(params, 10).ok()) << name << " " << value;
  }
  for (const double value : refused) {
    SamplingParams params;
    params.*field = value;
    const Status status = Validate(params, 10);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << name << " " << value;
    EXPECT_NE(status.message().find(name), std::string::npos) << status.message();
  }
}

TEST(SamplingParamsTest, RangesAreAsDocumented) {
  using P = SamplingParams;
  ExpectRange(&P::temperature, "temperature", {0, 100}, {-0.01, 100.01, kNan, kInfinity});
  ExpectRange(&P::top_p, "top_p", {1e-9, 1}, {0, -0.1, 1.01, kNan});
  ExpectRange(&P::min_p, "min_p", {0, 1}, {-0.01, 1.01, kNan});
  ExpectRange(&P::repetition_penalty, "repetition_penalty", {0.01, 10}, {0, 1e-38, 0.0099, -1, 10.1, kNan});
  ExpectRange(&P::frequency_penalty, "frequency_penalty", {-2, 2}, {-2.1, 2.1, kNan});
  ExpectRange(&P::presence_penalty, "presence_penalty", {-2, 2}, {-2.1, 2.1, -kInfinity});
}

TEST(SamplingParamsTest, LogprobsAndBias) {
  EXPECT_TRUE(Validate({.logprobs = 20}, 10).ok());
  EXPECT_EQ(Validate({.logprobs = 21}, 10).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Validate({.top_k = -1}, 10).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(Validate({.logit_bias = {{0, -100.0}, {9, 100.0}}}, 10).ok());
  for (const auto& [token, bias] : {std::pair{10, 1.0}, {-1, 1.0}, {3, 100.5}, {3, -101.0}, {3, kNan}}) {
    EXPECT_EQ(Validate({.logit_bias = {{token, bias}}}, 10).code(), StatusCode::kInvalidArgument) << token;
  }
  SamplingParams many;
  for (int32_t token = 0; token <= static_cast<int32_t>(kMostLogitBiases); ++token)
    many.logit_bias[token] = 1;
  EXPECT_EQ(Validate(many, 5000).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace conclave::engine
