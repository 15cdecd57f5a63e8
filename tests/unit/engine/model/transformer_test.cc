#include "engine/model/transformer.h"

#include "tests/unit/engine/model/loaded_model.h"

namespace conclave::engine {
namespace {

using testing::LoadedModel;
using testing::MatrixType;
using testing::SameBits;
using testing::SomeTokens;

class TransformerTest : public ::testing::Test {
 protected:
  Status Forward(const std::vector<int32_t>& tokens, int64_t room) {
    KvSequence cache(*model_.kv);
    EXPECT_TRUE(cache.Reserve(room).ok());
    std::vector<float> logits(model_.vocabulary());
    const SequenceStep step{.cache = &cache, .tokens = tokens, .logits_rows = 1};
    const Status status = model_.Forward({&step, 1}, logits.data());
    EXPECT_EQ(cache.length(), status.ok() ? static_cast<int64_t>(tokens.size()) : 0);
    return status;
  }

  LoadedModel model_{MatrixType::kQ8_0, 1, {{0, 1}, {2, 3}}};
};

TEST_F(TransformerTest, RefusesTokensOutsideTheVocabulary) {
  for (const int32_t token : {-1, 48, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(Forward({1, token}, 2).code(), StatusCode::kInvalidArgument) << token;
  }
  EXPECT_TRUE(Forward({0, 47}, 2).ok());
}

TEST_F(TransformerTest, RefusesWhatDoesNotFitTheCacheOrTheContext) {
  EXPECT_EQ(Forward(SomeTokens(33, 1), 32).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Forward(SomeTokens(257, 1), 288).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(Forward(SomeTokens(256, 1), 256).ok());
}

TEST_F(TransformerTest, NothingToDoIsNoError) { EXPECT_TRUE(model_.Forward({}, nullptr).ok()); }

TEST_F(TransformerTest, FailedStepCanBeRepeated) {
  const auto tokens = SomeTokens(10, 2);
  const auto expected = model_.Logits(tokens, 10);
  KvSequence cache(*model_.kv);
  ASSERT_TRUE(cache.Reserve(10).ok());
  std::vector<float> logits(expected.size());
  const SequenceStep step{.cache = &cache, .tokens = tokens, .logits_rows = 10};
  model_.feed_forward->failure = Unavailable("a shard is gone");
  model_.feed_forward->failing_layer = 1;
  EXPECT_EQ(model_.Forward({&step, 1}, logits.data()), model_.feed_forward->failure);
  EXPECT_EQ(cache.length(), 0);
  model_.feed_forward->failure = Status::Ok();
  ASSERT_TRUE(model_.Forward({&step, 1}, logits.data()).ok());
  EXPECT_TRUE(SameBits(expected, logits));
}

TEST_F(TransformerTest, BlocksThatOthersUsedLeaveNoTrace) {
  const auto tokens = SomeTokens(50, 3);
  const auto expected = model_.Logits(tokens, 50);
  for (uint32_t seed = 10; seed < 14; ++seed) (void)model_.Logits(SomeTokens(200, seed), 200);
  EXPECT_TRUE(SameBits(expected, model_.Logits(tokens, 50)));
}

TEST_F(TransformerTest, ShardsNameTheirSlicesAndRefuseWrongOnes) {
  EXPECT_EQ(FeedForwardSlices(model_.file(), model_.description()), 4);
  auto load = [&](std::vector<int64_t> slices) {
    return FeedForwardShard::Load(model_.file(), model_.description(), std::move(slices), model_.pool);
  };
  auto shard = load({3, 1});
  ASSERT_TRUE(shard.ok());
  EXPECT_EQ((*shard)->experts(), (std::vector<int64_t>{1, 3}));
  EXPECT_EQ((*shard)->layers(), 2);
  EXPECT_EQ((*shard)->hidden(), 64);
  EXPECT_TRUE((*shard)->quantised(0));
  EXPECT_EQ((*shard)->weight_bytes() * 2, (*load({0, 1, 2, 3}))->weight_bytes());
  for (const std::vector<int64_t>& wrong : {std::vector<int64_t>{}, {4}, {-1}, {1, 1}, {0, 1, 2, 3, 4}}) {
    EXPECT_EQ(load(wrong).status().code(), StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace conclave::engine
