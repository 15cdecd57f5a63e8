#include <functional>
#include <limits>

#include <gmock/gmock.h>

#include "services/decoder/limits.h"
#include "tests/unit/decoder/service_fixture.h"

namespace conclave::decoder {
namespace {

using ::testing::HasSubstr;

/// What a Generate stream refuses: the sequence ends with the reason, the stream and its other sequences go
/// on.
class DecoderRefusalTest : public DecoderServiceTest {
 protected:
  using Change = std::function<void(v1::AdmitSequence&)>;

  /// Admits a sequence with one thing wrong beside a good one.
  void ExpectRefused(const Change& spoil, grpc::StatusCode code, const std::string& named) {
    GenerateClient client(*stub_);
    v1::AdmitSequence bad = Sequence(1, {1, 2, 3}, 5);
    spoil(bad);
    client.Admit(bad);
    client.Admit(Sequence(2, {1, 2, 3}, 5));
    const Heard& refused = client.UntilEnd(1);
    EXPECT_EQ(refused.end.error_code(), static_cast<int>(code)) << refused.end.error_message();
    EXPECT_THAT(refused.end.error_message(), HasSubstr(named));
    EXPECT_EQ(refused.end.finish_reason(), v1::FINISH_REASON_UNSPECIFIED);
    EXPECT_TRUE(refused.tokens.empty());
    EXPECT_EQ(client.UntilEnd(2).tokens.size(), 5u);
  }

  void ExpectInvalid(const Change& spoil, const std::string& named) {
    SCOPED_TRACE(named);
    ExpectRefused(spoil, grpc::StatusCode::INVALID_ARGUMENT, named);
  }
};

TEST_F(DecoderRefusalTest, SamplingOutsideItsRangeIsNamed) {
  using Sampling = v1::SamplingParams;
  using Setter = std::function<void(Sampling&, double)>;
  struct Field {
    std::string name;
    Setter set;
    std::vector<double> wrong;
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Field fields[] = {
      {"temperature", [](Sampling& s, double v) { s.set_temperature(v); }, {-0.1, 100.5, kInfinity}},
      {"top_p", [](Sampling& s, double v) { s.set_top_p(v); }, {0.0, 1.1, -kInfinity}},
      {"min_p", [](Sampling& s, double v) { s.set_min_p(v); }, {-0.1, 1.1}},
      {"repetition_penalty", [](Sampling& s, double v) { s.set_repetition_penalty(v); }, {0.0, -1.0, 10.5}},
      {"frequency_penalty", [](Sampling& s, double v) { s.set_frequency_penalty(v); }, {-2.5, 2.5}},
      {"presence_penalty", [](Sampling& s, double v) { s.set_presence_penalty(v); }, {-2.5, 2.5}},
      {"logprobs", [](Sampling& s, double v) { s.set_logprobs(static_cast<uint32_t>(v)); }, {21, 4e9}},
      {"logit_bias", [](Sampling& s, double v) { (*s.mutable_logit_bias())[3] = v; }, {-101, 101}},
  };
  for (const Field& field : fields) {
    std::vector<double> wrong = field.wrong;
    if (field.name != "logprobs") wrong.push_back(std::numeric_limits<double>::quiet_NaN());
    for (const double value : wrong) {
      ExpectInvalid([&](v1::AdmitSequence& s) { field.set(*s.mutable_sampling(), value); }, field.name);
    }
  }
}

TEST_F(DecoderRefusalTest, TooMuchOrNothingIsNamed) {
  ExpectInvalid([](v1::AdmitSequence& s) { s.mutable_sampling()->set_max_tokens(0); }, "max_tokens");
  ExpectInvalid(
      [](v1::AdmitSequence& s) {
        for (int32_t i = 0; i <= 1024; ++i) (*s.mutable_sampling()->mutable_logit_bias())[i] = 0.5;
      },
      "logit_bias");
  ExpectInvalid([](v1::AdmitSequence& s) { (*s.mutable_sampling()->mutable_logit_bias())[48] = 0.5; },
                "logit_bias");
  ExpectInvalid(
      [](v1::AdmitSequence& s) {
        for (int64_t i = 0; i <= kMostEndTokens; ++i) s.add_end_token_ids(static_cast<int32_t>(i));
      },
      "end tokens");
}

TEST_F(DecoderRefusalTest, PromptsThatAreNone) {
  ExpectInvalid([](v1::AdmitSequence& s) { s.clear_prompt_token_ids(); }, "prompt is empty");
  ExpectInvalid([](v1::AdmitSequence& s) { s.set_prompt_token_ids(1, 48); }, "token id 48");
  ExpectInvalid([](v1::AdmitSequence& s) { s.set_prompt_token_ids(1, -1); }, "token id -1");
  ExpectRefused(
      [](v1::AdmitSequence& s) { s.mutable_prompt_token_ids()->Resize(static_cast<int>(kLongContext), 1); },
      grpc::StatusCode::OUT_OF_RANGE, "context");
}

TEST_F(DecoderRefusalTest, IdThatTheStreamUses) {
  GenerateClient client(*stub_);
  client.Admit(Sequence(1, {1, 2}, kEndless));
  while (client.heard(1).tokens.empty()) ASSERT_TRUE(client.Read());
  GenerateClient other(*stub_);
  other.Admit(Sequence(1, {1, 2}, 3));
  EXPECT_EQ(other.UntilEnd(1).end.error_code(), 0) << "ids are each stream's own";
  client.Admit(Sequence(1, {1, 2}, 3));
  const Heard& refused = client.UntilEnd(1);
  EXPECT_EQ(refused.end.error_code(), static_cast<int>(grpc::StatusCode::ALREADY_EXISTS));
}

TEST_F(DecoderRefusalTest, FullQueueSaysWhenToComeAgain) {
  Restart({.running_sequences = 1, .queued_sequences = 1});
  GenerateClient client(*stub_);
  client.Admit(Sequence(1, {1, 2}, kEndless));
  while (client.heard(1).tokens.empty()) ASSERT_TRUE(client.Read());
  client.Admit(Sequence(2, {1, 2}, 5));
  client.Admit(Sequence(3, {1, 2}, 5));
  const Heard& refused = client.UntilEnd(3);
  EXPECT_EQ(refused.end.error_code(), static_cast<int>(grpc::StatusCode::RESOURCE_EXHAUSTED));
  EXPECT_GT(refused.end.retry_after_ms(), 0);
  EXPECT_EQ(client.heard(2).ends, 0);
  client.Cancel(1);
  EXPECT_EQ(client.UntilEnd(2).tokens.size(), 5u);
}

TEST_F(DecoderRefusalTest, CancelOfNobodyAndEmptyMessagesHurtNobody) {
  GenerateClient client(*stub_);
  client.Cancel(77);
  client.Admit(v1::AdmitSequence());
  EXPECT_EQ(client.UntilEnd(0).end.error_code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
  client.Admit(Sequence(2, {1, 2}, 5));
  EXPECT_EQ(client.UntilEnd(2).tokens.size(), 5u);
  EXPECT_EQ(client.heard(77).ends, 0);
}

}  // namespace
}  // namespace conclave::decoder
