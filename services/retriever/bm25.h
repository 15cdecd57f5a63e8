#pragma once

#include <cmath>
#include <cstdint>

namespace conclave::retriever {

/// BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, section 3.2)
/// with Lucene's inverse document frequency, which is never negative:
///
///     score(q, d) = sum over terms t of q, with repetition, of  idf(t) * tf / (tf + k1 (1 - b + b |d| /
///     avg)) idf(t)      = ln(1 + (N - n(t) + 0.5) / (n(t) + 0.5))
///
/// tf: how often t is in d; |d|: terms in d; avg: their mean over the collection; N: passages in the
/// collection; n(t): passages with t. The constant factor (k1 + 1) that some write changes no ranking and is
/// left out.
struct Bm25Params {
  /// How soon repeating a term stops to count.
  double k1 = 1.2;
  /// How much a long passage is held against it, from 0 to 1.
  double b = 0.75;
};

inline double Bm25Idf(uint64_t passages, uint64_t passages_with_term) {
  const auto with = static_cast<double>(passages_with_term);
  return std::log(1.0 + (static_cast<double>(passages) - with + 0.5) / (with + 0.5));
}

/// k1 (1 - b + b |d| / avg): what a passage of `length` terms adds below the line. `mean_length` > 0.
inline double Bm25Norm(const Bm25Params& params, uint32_t length, double mean_length) {
  return params.k1 * (1.0 - params.b + params.b * length / mean_length);
}

inline double Bm25Term(double idf, uint32_t frequency, double norm) {
  return idf * frequency / (frequency + norm);
}

}  // namespace conclave::retriever
