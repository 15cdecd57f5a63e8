#include "engine/upcycle/plan_experts.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "engine/quantise/calibrate.h"
#include "engine/upcycle/layer_sampler.h"
#include "engine/upcycle/neuron_groups.h"
#include "engine/upcycle/router_fit.h"

namespace conclave::engine {
namespace {

/// Samples of a layer; more tell little more.
constexpr int64_t kMostSamples = 1 << 15;
/// Samples for each input of a router.
constexpr int64_t kSamplesPerInput = 4;

bool Finite(const std::vector<float>& numbers) {
  return std::ranges::all_of(numbers, [](float x) { return std::isfinite(x); });
}

/// [inner]: the squared lengths of a down projection's columns.
std::vector<double> ColumnEnergies(const TensorView& down) {
  const int64_t columns = down.columns();
  const int64_t row_bytes = *RowBytes(down.dtype, columns);
  std::vector<float> row(static_cast<size_t>(columns));
  std::vector<double> sums(static_cast<size_t>(columns));
  for (int64_t i = 0; i < down.rows(); ++i) {
    DequantiseRow(down.dtype, down.data + i * row_bytes, columns, row.data());
    for (int64_t j = 0; j < columns; ++j)
      sums[j] += static_cast<double>(row[j]) * static_cast<double>(row[j]);
  }
  return sums;
}

/// Turns activations into energies, in place.
NeuronEnergies EnergiesOf(std::vector<float> inner, int64_t tokens, const std::vector<double>& columns) {
  const auto neurons = static_cast<int64_t>(columns.size());
  for (int64_t token = 0; token < tokens; ++token) {
    float* row = inner.data() + token * neurons;
    for (int64_t i = 0; i < neurons; ++i) row[i] = static_cast<float>(columns[i] * row[i] * row[i]);
  }
  return {.values = std::move(inner), .tokens = tokens, .neurons = neurons};
}

/// The `count` neurons of the highest mean energy; of equal ones the lower. [neurons], true for those.
std::vector<bool> Strongest(const NeuronEnergies& energies, int64_t count) {
  std::vector<double> sums(static_cast<size_t>(energies.neurons));
  for (int64_t token = 0; token < energies.tokens; ++token) {
    const float* row = energies.values.data() + token * energies.neurons;
    for (int64_t i = 0; i < energies.neurons; ++i) sums[i] += static_cast<double>(row[i]);
  }
  std::vector<int32_t> order(sums.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return sums[a] > sums[b]; });
  std::vector<bool> strongest(sums.size());
  for (int64_t i = 0; i < count; ++i) strongest[order[i]] = true;
  return strongest;
}

/// Leaves only some neurons, in place.
void Keep(const std::vector<int32_t>& neurons, NeuronEnergies& energies) {
  const auto kept = static_cast<int64_t>(neurons.size());
  for (int64_t token = 0; token < energies.tokens; ++token) {
    const float* from = energies.values.data() + token * energies.neurons;
    float* to = energies.values.data() + token * kept;
    for (int64_t i = 0; i < kept; ++i) to[i] = from[neurons[i]];  // Never ahead of what is still to be read.
  }
  energies.neurons = kept;
  energies.values.resize(static_cast<size_t>(energies.tokens * kept));
}

Result<LayerPlan> PlanLayer(LayerSamples samples, const TensorView& down, const ExpertShape& shape,
                            ThreadPool& pool) {
  if (!Finite(samples.x) || !Finite(samples.inner)) {
    return InvalidArgument("activations are not finite: the model is broken");
  }
  NeuronEnergies energies = EnergiesOf(std::move(samples.inner), samples.tokens, ColumnEnergies(down));
  if (!Finite(energies.values))
    return InvalidArgument("the activations are too large, or a weight is no number");
  const std::vector<bool> shared = Strongest(energies, shape.shared_width);
  std::vector<int32_t> routed, common;
  for (int32_t i = 0; i < energies.neurons; ++i) (shared[i] ? common : routed).push_back(i);
  Keep(routed, energies);

  NeuronGroups groups = GroupNeurons(energies, shape.experts, shape.chosen, pool);
  CONCLAVE_ASSIGN_OR_RETURN(RoutedGroups fitted, FitRouter(energies, std::move(groups.group_of), samples.x,
                                                           shape.experts, shape.chosen, pool));
  LayerPlan plan{.neurons = {},
                 .router = std::move(fitted.router),
                 .kept_at_best = fitted.kept.at_best,
                 .kept = fitted.kept.by_router};
  for (int32_t group = 0; group < shape.experts; ++group) {
    for (size_t i = 0; i < routed.size(); ++i) {
      if (fitted.group_of[i] == group) plan.neurons.push_back(routed[i]);
    }
  }
  plan.neurons.insert(plan.neurons.end(), common.begin(), common.end());
  return plan;
}

/// How a text is read: every `stride`-th token is kept, `samples` in all, of `layers` layers in one run.
struct Reading {
  int64_t windows = 0;
  int64_t stride = 1;
  int64_t samples = 0;
  int64_t layers = 0;
};

Result<Reading> PlanReading(const LanguageModel& model, std::span<const int32_t> tokens,
                            const PlanOptions& options) {
  const Architecture& a = model.architecture();
  const int64_t needed = TokensNeeded(a.hidden);
  const int64_t windows = static_cast<int64_t>(tokens.size()) / std::max<int64_t>(1, options.window);
  if (windows * options.window < needed) {
    return InvalidArgument("the text has " + std::to_string(tokens.size()) + " tokens, " +
                           std::to_string(windows) + " whole windows of " + std::to_string(options.window) +
                           "; routers of " + std::to_string(a.hidden) + " inputs need " +
                           std::to_string(needed) + " tokens (about " +
                           std::to_string(4 * needed / 1000 + 1) + " kB of English)");
  }
  Reading reading{.windows = windows};
  const int64_t read = windows * options.window;
  reading.stride = (read + kMostSamples - 1) / kMostSamples;
  reading.samples = (read + reading.stride - 1) / reading.stride;
  const uint64_t bytes = LayerSampler::Bytes(reading.samples, a.hidden, a.inner);
  if (bytes > options.memory_bytes) {
    return ResourceExhausted("the activations of one layer take " + std::to_string((bytes >> 20) + 1) +
                             " MiB, more than the " + std::to_string(options.memory_bytes >> 20) +
                             " allowed (--calibration-memory-mib); a shorter text takes less");
  }
  reading.layers =
      static_cast<int64_t>(std::min<uint64_t>(options.memory_bytes / bytes, static_cast<uint64_t>(a.layers)));
  return reading;
}

}  // namespace

Status CheckDense(const Architecture& architecture) {
  if (architecture.mixture.experts == 0) return Status::Ok();
  return InvalidArgument("the model is a mixture of " + std::to_string(architecture.mixture.experts) +
                         " experts already; give a dense one");
}

int64_t TokensNeeded(int64_t hidden) { return kSamplesPerInput * hidden; }

Result<ExpertPlan> PlanExperts(LanguageModel& model, std::span<const TensorView> downs,
                               std::span<const int32_t> tokens, const PlanOptions& options,
                               const std::function<void(int64_t, int64_t)>& progress) {
  const Architecture& a = model.architecture();
  CONCLAVE_RETURN_IF_ERROR(CheckDense(a));
  CONCLAVE_ASSIGN_OR_RETURN(const Reading reading, PlanReading(model, tokens, options));
  const int64_t runs = (a.layers + reading.layers - 1) / reading.layers;
  const int64_t total = runs * reading.windows + a.layers;
  ExpertPlan plan{.layers = {}, .tokens = reading.windows * options.window};
  int64_t done = 0;
  for (int64_t first = 0; first < a.layers; first += reading.layers) {
    const int64_t end = std::min(a.layers, first + reading.layers);
    LayerSampler sampler(first, end, reading.stride, reading.samples);
    CONCLAVE_RETURN_IF_ERROR(ObserveText(model, tokens, options.window, sampler,
                                         [&](int64_t, int64_t) { progress(++done, total); }));
    for (int64_t layer = first; layer < end; ++layer) {
      Result<LayerPlan> planned = PlanLayer(sampler.Take(layer), downs[layer], options.shape, model.pool());
      if (!planned.ok()) return planned.status().Annotate("layer " + std::to_string(layer));
      plan.layers.push_back(*std::move(planned));
      progress(++done, total);
    }
  }
  return plan;
}

}  // namespace conclave::engine
