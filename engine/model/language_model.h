#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/model/transformer.h"

namespace conclave::engine {

/// Tokens of one forward pass when a text is scored: bounds the logits that are held at once.
inline constexpr int64_t kLogitsChunkTokens = 128;

/// A whole model in one process, for measuring and scoring: weights, feed-forward layers and a cache for one
/// sequence of full length. Used by one thread at a time.
class LanguageModel {
 public:
  /// `path`: a .gguf file or a folder. `context` 0: the model's own. `kv_format` none: the model's own.
  /// Errors: as OpenModelFile, DescribeModel, Transformer::Load, FeedForwardShard::Load and KvLayout::For.
  static Result<std::unique_ptr<LanguageModel>> Load(const std::string& path, int64_t context,
                                                     std::shared_ptr<ThreadPool> pool,
                                                     std::optional<KvFormat> kv_format = {});

  const Architecture& architecture() const { return model_->architecture(); }
  const WeightNames& names() const { return names_; }
  ThreadPool& pool() { return *pool_; }
  KvPool& kv() { return *kv_; }
  const Transformer& transformer() const { return *model_; }
  const FeedForwardShard& feed_forward() const { return *shard_; }
  int64_t weight_bytes() const { return model_->weight_bytes() + shard_->weight_bytes(); }

  /// Who sees the inputs of every product from now on; nullptr: nobody.
  void SetObserver(ActivationObserver* observer) {
    model_->SetObserver(observer);
    shard_->SetObserver(observer);
  }

  /// One step; see Transformer::Forward.
  Status Forward(std::span<const SequenceStep> steps, float* logits) {
    return Forward(steps, *feed_forward_, logits);
  }
  /// The same with the feed-forward layers computed by others.
  Status Forward(std::span<const SequenceStep> steps, FeedForward& feed_forward, float* logits) {
    return model_->Forward(steps, feed_forward, *pool_, logits);
  }
  /// Its own.
  FeedForward& local_layers() { return *feed_forward_; }

  /// Runs `tokens` as one sequence from position 0 and hands out float32 logits [rows, vocabulary] chunk by
  /// chunk, for the positions from `first` on: `take(position, logits_row)`. Errors: as Forward.
  Status ForEachLogits(std::span<const int32_t> tokens, int64_t first,
                       const std::function<void(int64_t position, std::span<float> logits)>& take);

 private:
  std::unique_ptr<ModelFile> file_;
  WeightNames names_;
  std::shared_ptr<ThreadPool> pool_;
  std::unique_ptr<Transformer> model_;
  std::shared_ptr<FeedForwardShard> shard_;
  std::unique_ptr<FeedForward> feed_forward_;
  std::unique_ptr<KvPool> kv_;
};

/// How many whole windows of `window` tokens a text has. Errors: INVALID_ARGUMENT (none; window under 4 or
/// over the model's context).
Result<int64_t> CountWindows(const LanguageModel& model, std::span<const int32_t> tokens, int64_t window);

/// Mean negative log-likelihood of a text.
struct TextScore {
  int64_t scored_tokens = 0;
  int64_t windows = 0;
  double nll_sum = 0.0;  ///< in nats
  double Mean() const { return scored_tokens == 0 ? 0.0 : nll_sum / static_cast<double>(scored_tokens); }
};

/// Cuts `tokens` into windows of `window` tokens (a shorter rest is left out) and scores the second half of
/// each, as llama-perplexity does: token i + 1 from the logits at i, for i from window / 2 to window - 2.
/// `progress(done, total)` is called after each window. Errors: INVALID_ARGUMENT (fewer tokens than one
/// window; window under 4 or over the context), INTERNAL (a score that is not finite).
Result<TextScore> ScoreText(LanguageModel& model, std::span<const int32_t> tokens, int64_t window,
                            const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace conclave::engine
