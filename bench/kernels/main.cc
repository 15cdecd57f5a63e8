// Times the matrix kernels beside what the machine can do: bytes of weights a second for one token, integer
// operations a second for many. Prints one JSON object a line. Usage: conclave_kernel_bench [FORMAT]
// [THREADS]

#include <cstdio>
#include <cstdlib>
#include <string>

#include "bench/kernels/model_weights.h"
#include "engine/roofline/machine_limits.h"
#include "engine/roofline/rates.h"

namespace conclave::bench {
namespace {

using engine::DType;
using engine::Measure;
using engine::Rates;
using engine::Scaled;

constexpr int kRounds = 9;
constexpr double kRoundSeconds = 0.3;
constexpr int64_t kLayers = 30;
constexpr int64_t kPromptTokens = 512;

void Report(const std::string& name, const char* unit, Rates rates, double limit) {
  std::printf(
      "{\"name\": \"%s\", \"value\": %.4g, \"best\": %.4g, \"unit\": \"%s\", \"limit\": %.4g, "
      "\"share_of_limit\": %.3f}\n",
      name.c_str(), rates.median, rates.best, unit, limit, limit > 0 ? rates.median / limit : 0.0);
  std::fflush(stdout);
}

bool FindFormat(const std::string& name, DType& out) {
  for (int i = 0; i < engine::kDTypeCount; ++i) {
    out = static_cast<DType>(i);
    if (engine::IsQuantised(out) && engine::InfoOf(out).name == name) return true;
  }
  return false;
}

/// 256 columns a block do not divide the model's 576.
bool FitsShapes(DType dtype) { return kHidden % engine::InfoOf(dtype).block_elements == 0; }

int BenchKernels(DType dtype, int threads) {
  engine::ThreadPool pool(threads);
  for (const engine::Kernels* kernels : engine::AvailableKernels()) {
    for (const DType checked : {dtype, DType::kQ8_0}) {
      if (Validate(*kernels, checked)) continue;
      std::fprintf(stderr, "%s does not give the reference's bits for %s\n",
                   std::string(kernels->name).c_str(), std::string(engine::InfoOf(checked).name).c_str());
      return 1;
    }
  }
  const Rates bandwidth = engine::MeasureReadBandwidth(pool);
  const Rates peak = engine::MeasurePeak(engine::Arithmetic::kInt8, pool).operations_per_s;
  Report("read bandwidth", "GB/s", Scaled(bandwidth, 1e-9), bandwidth.best * 1e-9);
  Report("8-bit dot product peak", "TOPS", Scaled(peak, 1e-12), peak.best * 1e-12);
  Report("empty parallel regions", "1/s", engine::MeasureRegions(pool), 0.0);

  const ModelWeights weights = MakeWeights(dtype, kLayers);
  const double products = static_cast<double>(weights.layer_products() * kPromptTokens);
  WeightStream decode(weights, 1);
  WeightStream prefill(weights, kPromptTokens);
  for (const engine::Kernels* kernels : engine::AvailableKernels()) {
    if (kernels == &engine::ReferenceKernels()) continue;
    const std::string name(kernels->name);
    const Rates passes = Measure(kRounds, kRoundSeconds, [&] { decode.Pass(*kernels, pool); });
    Report(name + " weight stream", "passes/s", passes,
           bandwidth.best / static_cast<double>(weights.bytes()));
    const Rates prompts = Measure(kRounds, kRoundSeconds, [&] { prefill.Pass(*kernels, pool); });
    Report(name + " 512 tokens", "TOPS", Scaled(prompts, products * 2e-12), peak.best * 1e-12);
  }
  return 0;
}

}  // namespace
}  // namespace conclave::bench

int main(int argc, char** argv) {
  conclave::engine::DType dtype;
  const std::string format = argc > 1 ? argv[1] : "Q4_1";
  const int threads = argc > 2 ? std::atoi(argv[2]) : 0;
  if (argc > 3 || threads < 0 || !conclave::bench::FindFormat(format, dtype) ||
      !conclave::bench::FitsShapes(dtype)) {
    std::fprintf(stderr, "usage: conclave_kernel_bench [Q4_0|Q4_1|Q5_0|Q5_1|Q8_0] [THREADS]\n");
    return 2;
  }
  return conclave::bench::BenchKernels(dtype, threads);
}
