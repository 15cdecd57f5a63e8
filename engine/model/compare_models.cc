#include "engine/model/compare_models.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "engine/sampling/arg_max.h"

namespace conclave::engine {
namespace {

/// One model's way through a window.
class WindowLogits {
 public:
  explicit WindowLogits(LanguageModel& model) : model_(model), cache_(model.kv()) {}

  Status Reserve(int64_t tokens) { return cache_.Reserve(tokens); }

  /// Runs the next tokens; `Row` then gives the logits of the last `rows` of them.
  Status Step(std::span<const int32_t> tokens, int64_t rows) {
    logits_.resize(rows * model_.architecture().vocabulary);
    const SequenceStep step{.cache = &cache_, .tokens = tokens, .logits_rows = rows};
    return model_.Forward({&step, 1}, logits_.data());
  }

  std::span<const float> Row(int64_t row) const {
    const int64_t vocabulary = model_.architecture().vocabulary;
    return {logits_.data() + row * vocabulary, static_cast<size_t>(vocabulary)};
  }

 private:
  LanguageModel& model_;
  KvSequence cache_;
  std::vector<float> logits_;
};

Status CompareWindow(LanguageModel& model, LanguageModel& reference, std::span<const int32_t> tokens,
                     ModelComparison& found) {
  const auto window = static_cast<int64_t>(tokens.size());
  const int64_t first = window / 2;
  const int64_t last = window - 1;  // What follows it is not in the window.
  WindowLogits ours(model), theirs(reference);
  CONCLAVE_RETURN_IF_ERROR(ours.Reserve(window));
  CONCLAVE_RETURN_IF_ERROR(theirs.Reserve(window));
  for (int64_t begin = 0; begin < last; begin += kLogitsChunkTokens) {
    const int64_t end = std::min(last, begin + kLogitsChunkTokens);
    const int64_t rows = std::clamp<int64_t>(end - first, 0, end - begin);
    const auto chunk = tokens.subspan(begin, end - begin);
    CONCLAVE_RETURN_IF_ERROR(ours.Step(chunk, rows));
    CONCLAVE_RETURN_IF_ERROR(theirs.Step(chunk, rows));
    const auto at = found.divergences.size();
    found.divergences.resize(at + rows);
    model.pool().ParallelFor(rows, 1, [&](int64_t from, int64_t to) {
      for (int64_t row = from; row < to; ++row) {
        found.divergences[at + row] = KlDivergence(theirs.Row(row), ours.Row(row));
      }
    });
    for (int64_t row = 0; row < rows; ++row) {
      if (!std::isfinite(found.divergences[at + row])) {
        return InvalidArgument("a logit of one of the models is no number: its weights are broken");
      }
      found.same_top += ArgMax(theirs.Row(row)) == ArgMax(ours.Row(row)) ? 1 : 0;
    }
  }
  return Status::Ok();
}

}  // namespace

double ModelComparison::Mean() const {
  if (divergences.empty()) return 0.0;
  return std::accumulate(divergences.begin(), divergences.end(), 0.0) / static_cast<double>(positions());
}

double ModelComparison::Maximum() const {
  return divergences.empty() ? 0.0 : *std::max_element(divergences.begin(), divergences.end());
}

double ModelComparison::Quantile(double share) const {
  if (divergences.empty()) return 0.0;
  std::vector<double> sorted = divergences;
  std::sort(sorted.begin(), sorted.end());
  const double place = std::clamp(share, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - static_cast<double>(below));
}

double ModelComparison::TopAgreement() const {
  return divergences.empty() ? 0.0 : static_cast<double>(same_top) / static_cast<double>(positions());
}

double KlDivergence(std::span<const float> reference, std::span<const float> logits) {
  const double reference_sum = LogSumExp(reference);
  const double sum = LogSumExp(logits);
  double divergence = 0.0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double log_p = reference[i] - reference_sum;
    divergence += std::exp(log_p) * (log_p - (logits[i] - sum));
  }
  // Rounding may leave equal distributions a little below nothing; NaN stays.
  return divergence < 0.0 ? 0.0 : divergence;
}

Result<ModelComparison> CompareModels(LanguageModel& model, LanguageModel& reference,
                                      std::span<const int32_t> tokens, int64_t window,
                                      const std::function<void(int64_t, int64_t)>& progress) {
  if (model.architecture().vocabulary != reference.architecture().vocabulary) {
    return InvalidArgument("the models have vocabularies of " +
                           std::to_string(model.architecture().vocabulary) + " and " +
                           std::to_string(reference.architecture().vocabulary) +
                           " tokens; only models with the same one can be compared");
  }
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t windows, CountWindows(model, tokens, window));
  CONCLAVE_RETURN_IF_ERROR(CountWindows(reference, tokens, window).status());
  ModelComparison found;
  for (; found.windows < windows; ++found.windows, progress(found.windows, windows)) {
    CONCLAVE_RETURN_IF_ERROR(
        CompareWindow(model, reference, tokens.subspan(found.windows * window, window), found));
  }
  return found;
}

}  // namespace conclave::engine
