#include "engine/model/language_model.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "engine/sampling/arg_max.h"

namespace conclave::engine {
Result<std::unique_ptr<LanguageModel>> LanguageModel::Load(const std::string& path, int64_t context,
                                                           std::shared_ptr<ThreadPool> pool,
                                                           std::optional<KvFormat> kv_format) {
  auto loaded = std::make_unique<LanguageModel>();
  loaded->pool_ = std::move(pool);
  CONCLAVE_ASSIGN_OR_RETURN(loaded->file_, OpenModelFile(path));
  CONCLAVE_ASSIGN_OR_RETURN(ModelDescription description, DescribeModel(*loaded->file_));
  Architecture& architecture = description.architecture;
  loaded->names_ = description.names;
  if (context > 0) architecture.context = std::min(architecture.context, context);
  CONCLAVE_ASSIGN_OR_RETURN(loaded->model_, Transformer::Load(*loaded->file_, description, *loaded->pool_));
  CONCLAVE_ASSIGN_OR_RETURN(loaded->shard_,
                            FeedForwardShard::LoadAll(*loaded->file_, description, *loaded->pool_));
  loaded->file_->DropPages();
  loaded->feed_forward_ = std::make_unique<LocalFeedForward>(loaded->shard_);
  CONCLAVE_ASSIGN_OR_RETURN(const KvLayout layout, loaded->model_->LayoutOfKv(kv_format));
  CONCLAVE_ASSIGN_OR_RETURN(loaded->kv_,
                            KvPool::Create(layout, KvBlocksFor(architecture.context) * layout.block_bytes()));
  return loaded;
}

Status LanguageModel::ForEachLogits(std::span<const int32_t> tokens, int64_t first,
                                    const std::function<void(int64_t, std::span<float>)>& take) {
  KvSequence cache(*kv_);
  const auto count = static_cast<int64_t>(tokens.size());
  const int64_t vocabulary = architecture().vocabulary;
  if (count > architecture().context) {
    return InvalidArgument(std::to_string(count) + " tokens are more than the context of " +
                           std::to_string(architecture().context));
  }
  CONCLAVE_RETURN_IF_ERROR(cache.Reserve(count));
  std::vector<float> logits;
  for (int64_t begin = 0; begin < count; begin += kLogitsChunkTokens) {
    const int64_t end = std::min(count, begin + kLogitsChunkTokens);
    const int64_t rows = std::clamp<int64_t>(end - first, 0, end - begin);
    logits.resize(rows * vocabulary);
    const SequenceStep step{
        .cache = &cache, .tokens = tokens.subspan(begin, end - begin), .logits_rows = rows};
    CONCLAVE_RETURN_IF_ERROR(Forward({&step, 1}, logits.data()));
    for (int64_t row = 0; row < rows; ++row) {
      take(end - rows + row, {logits.data() + row * vocabulary, static_cast<size_t>(vocabulary)});
    }
  }
  return Status::Ok();
}

Result<int64_t> CountWindows(const LanguageModel& model, std::span<const int32_t> tokens, int64_t window) {
  if (window < 4 || window > model.architecture().context) {
    return InvalidArgument("the window has " + std::to_string(window) + " tokens; 4 to " +
                           std::to_string(model.architecture().context) + " are possible");
  }
  const int64_t windows = static_cast<int64_t>(tokens.size()) / window;
  if (windows == 0) {
    return InvalidArgument("the text has " + std::to_string(tokens.size()) +
                           " tokens; at least one window of " + std::to_string(window) + " is needed");
  }
  return windows;
}

Result<TextScore> ScoreText(LanguageModel& model, std::span<const int32_t> tokens, int64_t window,
                            const std::function<void(int64_t, int64_t)>& progress) {
  TextScore score;
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t windows, CountWindows(model, tokens, window));
  for (; score.windows < windows; ++score.windows, progress(score.windows, windows)) {
    const auto part = tokens.subspan(score.windows * window, window);
    CONCLAVE_RETURN_IF_ERROR(
        model.ForEachLogits(part, window / 2, [&](int64_t position, std::span<float> logits) {
          if (position + 1 >= window) return;
          score.nll_sum += LogSumExp(logits) - logits[part[position + 1]];
          ++score.scored_tokens;
        }));
  }
  if (!std::isfinite(score.nll_sum)) {
    return Internal("the model's numbers are not finite; its weights are damaged");
  }
  return score;
}

}  // namespace conclave::engine
