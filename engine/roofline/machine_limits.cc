#include "engine/roofline/machine_limits.h"

#include <algorithm>

#include "engine/roofline/peak_loops.h"
#include "engine/tensor/page_memory.h"

namespace conclave::engine {
namespace {

constexpr int64_t kLine = 64;
constexpr int64_t kPrefetchAhead = 4096;
constexpr int64_t kReadGrain = int64_t{1} << 20;

/// The exclusive or of a whole number of 64-byte lines: eight independent chains, so that the processor waits
/// for memory and not for arithmetic.
uint64_t ReadAll(const uint64_t* begin, const uint64_t* end) {
  constexpr int64_t kWords = kLine / static_cast<int64_t>(sizeof(uint64_t));
  uint64_t sums[kWords] = {};
  for (const uint64_t* at = begin; at < end; at += kWords) {
    __builtin_prefetch(at + kPrefetchAhead / static_cast<int64_t>(sizeof(uint64_t)));
    for (int64_t i = 0; i < kWords; ++i) sums[i] ^= at[i];
  }
  uint64_t all = 0;
  for (const uint64_t sum : sums) all ^= sum;
  return all;
}

/// Makes the compiler compute what nobody reads.
template <typename T>
void Keep(const T& value) {
  __asm__ volatile("" : : "m"(value));
}

}  // namespace

Rates MeasureReadBandwidth(ThreadPool& pool, const Effort& effort) {
  const int64_t words = effort.read_bytes / static_cast<int64_t>(sizeof(uint64_t));
  const PageMemory pages = PageMemory::Map(effort.read_bytes);
  auto* memory = reinterpret_cast<uint64_t*>(pages.data());
  if (memory == nullptr) return {};
  std::fill_n(memory, words, 1);  // Memory that was never written is one page of zeros.
  const int64_t grain = kReadGrain / static_cast<int64_t>(sizeof(uint64_t));
  const Rates passes = Measure(effort.rounds, effort.round_s, [&] {
    pool.ParallelFor(words, grain,
                     [&](int64_t begin, int64_t end) { Keep(ReadAll(memory + begin, memory + end)); });
  });
  return Scaled(passes, static_cast<double>(effort.read_bytes));
}

Peak MeasurePeak(Arithmetic arithmetic, ThreadPool& pool, const Effort& effort) {
  const PeakLoop& loop = BestPeakLoop(arithmetic);
  Peak peak{.instruction = loop.instruction};
  constexpr int64_t kChecked = 10;
  if (loop.run(kChecked) != loop.ExpectedSum(kChecked)) return peak;
  constexpr int64_t kSteps = 50000;
  const Rates calls =
      Measure(effort.rounds, effort.round_s, [&] { pool.Run([&](int) { Keep(loop.run(kSteps)); }); });
  peak.operations_per_s = Scaled(calls, static_cast<double>(loop.Operations(kSteps) * pool.size()));
  return peak;
}

Rates MeasureRegions(ThreadPool& pool, const Effort& effort) {
  constexpr int kRegions = 1000;
  const Rates calls = Measure(effort.rounds, effort.round_s, [&] {
    for (int i = 0; i < kRegions; ++i) pool.Run([](int) {});
  });
  return Scaled(calls, kRegions);
}

}  // namespace conclave::engine
