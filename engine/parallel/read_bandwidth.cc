#include "engine/parallel/read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

namespace conclave::engine {
namespace {

constexpr int64_t kWords = int64_t{1} << 25;  // 256 MiB
constexpr int kPasses = 5;
constexpr int64_t kUnroll = 32;

/// Many independent sums, so that the processor waits for memory and not for additions.
uint64_t Sum(const uint64_t* words, int64_t begin, int64_t end) {
  uint64_t sums[kUnroll] = {};
  for (int64_t i = begin; i < end; i += kUnroll) {
    for (int64_t j = 0; j < kUnroll; ++j) sums[j] += words[i + j];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

double MeasureReadBandwidth(ThreadPool& pool) {
  std::vector<uint64_t> words(kWords, 1);
  std::atomic<uint64_t> sink = 0;
  double best = 0.0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.ParallelFor(kWords, kUnroll,
                     [&](int64_t begin, int64_t end) { sink += Sum(words.data(), begin, end); });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(kWords * sizeof(uint64_t)) / seconds);
  }
  // Uses the sums, so that they are not optimised away.
  return sink.load() == 0 ? 0.0 : best;
}

}  // namespace conclave::engine
