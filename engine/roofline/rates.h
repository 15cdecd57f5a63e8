#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace conclave::engine {

/// Rates of several rounds, in calls a second.
struct Rates {
  double median = 0.0;
  double best = 0.0;
};

/// Calls `work` for `rounds` rounds of about `round_s` seconds each, after one call to warm up.
template <typename Work>
Rates Measure(int rounds, double round_s, Work work) {
  using Clock = std::chrono::steady_clock;
  work();
  std::vector<double> rates;
  for (int round = 0; round < rounds; ++round) {
    const auto begin = Clock::now();
    int calls = 0;
    double seconds = 0.0;
    do {
      work();
      ++calls;
      seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    } while (seconds < round_s);
    rates.push_back(calls / seconds);
  }
  std::sort(rates.begin(), rates.end());
  return {rates[rates.size() / 2], rates.back()};
}

/// The same rates in another unit: `factor` units a call.
inline Rates Scaled(Rates rates, double factor) { return {rates.median * factor, rates.best * factor}; }

}  // namespace conclave::engine
