#pragma once

#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "engine/model/transformer.h"
#include "tests/support/small_llama.h"
#include "tests/support/temporary_folder.h"

namespace conclave::engine::testing {

using conclave::testing::MatrixType;

/// Feed-forward layers whose experts live in several shards, each asked for its own work.
class SplitFeedForward final : public FeedForward {
 public:
  explicit SplitFeedForward(std::vector<std::shared_ptr<FeedForwardShard>> shards)
      : shards_(std::move(shards)) {}

  Status AddTo(int64_t layer, const FeedForwardInput& input, ThreadPool& pool, float* residual) override {
    if (!failure.ok() && layer == failing_layer) return failure;
    const int64_t hidden = shards_.front()->hidden();
    ExpertDispatch dispatch;
    dispatch.Plan(shards_.front()->shape(layer), input.tokens, input.routing);
    std::vector<float> outputs(dispatch.rows() * hidden);
    for (const auto& shard : shards_) {
      std::vector<ExpertWork> own;
      for (const ExpertWork& work : dispatch.work()) {
        if (shard->Find(layer, work.expert) != nullptr) own.push_back(work);
      }
      std::vector<float> computed(dispatch.rows() * hidden);
      shard->Compute(layer, input, own, pool, computed.data());
      Place(dispatch, own, computed, hidden, outputs);
    }
    dispatch.AddTo(outputs.data(), hidden, pool, residual);
    return Status::Ok();
  }

  Status failure;
  int64_t failing_layer = 0;

 private:
  /// Copies what was computed of `own` to where the dispatch expects it.
  static void Place(const ExpertDispatch& dispatch, const std::vector<ExpertWork>& own,
                    const std::vector<float>& computed, int64_t hidden, std::vector<float>& outputs) {
    auto from = computed.begin();
    for (const ExpertWork& mine : own) {
      auto to = outputs.begin();
      for (const ExpertWork& work : dispatch.work()) {
        if (work.expert == mine.expert) break;
        to += work.tokens * hidden;
      }
      std::copy_n(from, mine.tokens * hidden, to);
      from += mine.tokens * hidden;
    }
  }

  std::vector<std::shared_ptr<FeedForwardShard>> shards_;
};

/// A small model, loaded, with a cache for some sequences.
class LoadedModel {
 public:
  /// SmallLlama. `slices`: where the feed-forward slices live, one list a shard.
  LoadedModel(MatrixType type, int threads, const std::vector<std::vector<int64_t>>& slices = {{0, 1, 2, 3}})
      : LoadedModel(conclave::testing::SmallLlama(type), threads, slices) {}
  LoadedModel(const conclave::testing::GgufBuilder& model, int threads,
              const std::vector<std::vector<int64_t>>& experts)
      : pool(threads) {
    const std::string path = folder_.Write("small.gguf", model.Bytes());
    file_ = *OpenModelFile(path);
    description_ = *DescribeModel(*file_);
    transformer = *Transformer::Load(*file_, description_, pool);
    for (const auto& own : experts)
      shards.push_back(*FeedForwardShard::Load(*file_, description_, own, pool));
    feed_forward = std::make_unique<SplitFeedForward>(shards);
    const KvLayout layout = *transformer->LayoutOfKv();
    kv = *KvPool::Create(layout, 32 * layout.block_bytes());
  }

  int64_t vocabulary() const { return description_.architecture.vocabulary; }
  const ModelFile& file() const { return *file_; }
  const ModelDescription& description() const { return description_; }

  Status Forward(std::span<const SequenceStep> steps, float* logits) {
    return transformer->Forward(steps, *feed_forward, pool, logits);
  }

  /// The logits of every position of `tokens`, as one sequence in chunks of `chunk` tokens.
  std::vector<float> Logits(const std::vector<int32_t>& tokens, int64_t chunk) {
    KvSequence cache(*kv);
    const auto count = static_cast<int64_t>(tokens.size());
    EXPECT_TRUE(cache.Reserve(count).ok());
    std::vector<float> logits(count * vocabulary());
    for (int64_t begin = 0; begin < count; begin += chunk) {
      const int64_t size = std::min(chunk, count - begin);
      const SequenceStep step{
          .cache = &cache, .tokens = {tokens.data() + begin, static_cast<size_t>(size)}, .logits_rows = size};
      EXPECT_TRUE(Forward({&step, 1}, logits.data() + begin * vocabulary()).ok());
    }
    return logits;
  }

  ThreadPool pool;
  std::unique_ptr<Transformer> transformer;
  std::vector<std::shared_ptr<FeedForwardShard>> shards;
  std::unique_ptr<SplitFeedForward> feed_forward;
  std::unique_ptr<KvPool> kv;

 private:
  conclave::testing::TemporaryFolder folder_;
  std::unique_ptr<ModelFile> file_;
  ModelDescription description_;
};

inline std::vector<int32_t> SomeTokens(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) {
    token = static_cast<int32_t>(random() % conclave::testing::SmallLlamaSizes::kVocabulary);
  }
  return tokens;
}

/// Whether two lists of numbers have the same bits, all of them finite.
inline ::testing::AssertionResult SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << a.size() << " and " << b.size();
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) == 0 && std::isfinite(a[i])) continue;
    return ::testing::AssertionFailure() << "number " << i << " is " << a[i] << " and " << b[i];
  }
  return ::testing::AssertionSuccess();
}

}  // namespace conclave::engine::testing
