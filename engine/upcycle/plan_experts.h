#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/model/language_model.h"
#include "engine/tensor/tensor_view.h"
#include "engine/upcycle/expert_shape.h"

namespace conclave::engine {

/// How one dense feed-forward block becomes experts.
struct LayerPlan {
  /// [inner]: the dense block's neurons in the order of the experts that get them, the shared one last;
  /// ascending within an expert.
  std::vector<int32_t> neurons;
  std::vector<float> router;  ///< [experts, hidden]
  // Of the routed neurons' energy on the calibration text, the share that tokens keep:
  double kept_at_best = 0.0;  ///< if each had the experts that are best for it
  double kept = 0.0;          ///< with those that the router chooses
};

struct PlanOptions {
  ExpertShape shape;
  int64_t window = 512;                       ///< tokens of a sequence of the text
  uint64_t memory_bytes = uint64_t{4} << 30;  ///< of activations that are held at once
};

struct ExpertPlan {
  std::vector<LayerPlan> layers;
  int64_t tokens = 0;  ///< of the text that was used
};

/// Whether a model's feed-forward blocks are dense ones that experts can be made of. Errors:
/// INVALID_ARGUMENT (a mixture).
Status CheckDense(const Architecture& architecture);

/// How many tokens of text a plan needs for a model of this hidden width, so that its routers are determined
/// by the text rather than by chance.
int64_t TokensNeeded(int64_t hidden);

/// Decides which neurons of a dense model form which expert, and fits the routers, by what they do on a text:
/// the neurons of the highest mean energy become the shared expert, GroupNeurons groups the others, FitRouter
/// fits. Runs the text through the model in windows, once for as many layers as fit into the memory; uses an
/// even sample of a long text. `downs` [layers]: the down projections. The same model, text and options give
/// the same plan. `progress(done, total)` counts windows and layers. Errors: INVALID_ARGUMENT (too little
/// text, a model that is a mixture already, an activation or weight that is not finite), RESOURCE_EXHAUSTED
/// (one layer takes more than the memory; says how much), and those of the forward pass.
Result<ExpertPlan> PlanExperts(LanguageModel& model, std::span<const TensorView> downs,
                               std::span<const int32_t> tokens, const PlanOptions& options,
                               const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace conclave::engine
