#include "engine/sampling/logits_summary.h"

#include <algorithm>
#include <cmath>

#include "engine/sampling/arg_max.h"
#include "engine/sampling/softmax_weights.h"

namespace conclave::engine {
namespace {

/// Logits that one thread looks at, small enough for its first cache.
constexpr int64_t kPart = 4096;

struct Part {
  int32_t best = -1;
  float max = -std::numeric_limits<float>::infinity();
  double sum = 0.0;  ///< of e^(logit - max)
};

int64_t PartsOf(int64_t vocabulary) { return (vocabulary + kPart - 1) / kPart; }

double SumOfWeights(std::span<const float> logits, float max) {
  LaneSum sum;
  SoftmaxWeights(logits, max, 1.0, [&](size_t, std::span<const float> weights) { sum.Add(weights); });
  return sum.Total();
}

/// The `index`-th part of one row.
Part Look(std::span<const float> row, int64_t index) {
  const auto first = static_cast<size_t>(index * kPart);
  const std::span<const float> logits = row.subspan(first, std::min<size_t>(kPart, row.size() - first));
  Part part;
  const int32_t best = ArgMax(logits);
  if (best < 0) return part;
  part.best = static_cast<int32_t>(first) + best;
  part.max = logits[best];
  if (std::isfinite(part.max)) part.sum = SumOfWeights(logits, part.max);
  return part;
}

LogitsSummary Combine(std::span<const Part> parts) {
  const auto highest = std::max_element(parts.begin(), parts.end(),
                                        [](const Part& a, const Part& b) { return a.max < b.max; });
  if (highest == parts.end() || highest->best < 0) return {};
  LogitsSummary summary{.best = highest->best};
  const double max = highest->max;
  if (!std::isfinite(max)) return summary;
  double sum = 0.0;
  for (const Part& part : parts) {
    if (part.best >= 0) sum += part.sum * std::exp(part.max - max);
  }
  summary.log_sum = max + std::log(sum);
  return summary;
}

}  // namespace

std::vector<LogitsSummary> SummariseRows(const float* logits, int64_t vocabulary,
                                         std::span<const int64_t> rows, ThreadPool& pool) {
  const int64_t parts_of_row = PartsOf(vocabulary);
  std::vector<Part> parts(rows.size() * parts_of_row);
  pool.ParallelFor(static_cast<int64_t>(parts.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* row = logits + rows[i / parts_of_row] * vocabulary;
      parts[i] = Look({row, static_cast<size_t>(vocabulary)}, i % parts_of_row);
    }
  });
  std::vector<LogitsSummary> summaries;
  for (size_t row = 0; row < rows.size(); ++row) {
    summaries.push_back(Combine(std::span(parts).subspan(row * parts_of_row, parts_of_row)));
  }
  return summaries;
}

LogitsSummary Summarise(std::span<const float> logits) {
  std::vector<Part> parts;
  for (int64_t i = 0; i < PartsOf(static_cast<int64_t>(logits.size())); ++i) parts.push_back(Look(logits, i));
  return Combine(parts);
}

}  // namespace conclave::engine
