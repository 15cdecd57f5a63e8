#include "engine/quantise/calibrate.h"

#include <string>
#include <vector>

namespace conclave::engine {
namespace {

/// Sets a model's observer for as long as it lives.
class Observed {
 public:
  Observed(LanguageModel& model, ActivationObserver& observer) : model_(model) {
    model_.SetObserver(&observer);
  }
  ~Observed() { model_.SetObserver(nullptr); }
  Observed(const Observed&) = delete;
  Observed& operator=(const Observed&) = delete;

 private:
  LanguageModel& model_;
};

Result<Importance> ImportanceOf(StatisticsGatherer& gatherer, const LanguageModel& model) {
  const WeightNames& names = model.names();
  struct Product {
    ProductInput input;
    std::vector<const std::string*> patterns;
  };
  // Of a mixture's experts it is known what their layer reads, not which tokens each of them sees.
  const Product products[] = {
      {ProductInput::kAttention, {&names.query, &names.key, &names.value, &names.latent_query}},
      {ProductInput::kAttentionOutput, {&names.attention_output}},
      {ProductInput::kFeedForward,
       {&names.gate, &names.up, &names.shared_gate, &names.shared_up, &names.expert_gate, &names.expert_up}},
      {ProductInput::kDown, {&names.down}}};
  Importance importance;
  for (int64_t layer = 0; layer < model.architecture().layers; ++layer) {
    for (const Product& product : products) {
      CONCLAVE_ASSIGN_OR_RETURN(const auto statistics, gatherer.Take(product.input, layer));
      for (const std::string* pattern : product.patterns) {
        const std::string name = WeightNames::ForLayer(*pattern, layer);
        const bool each = name.find("{}") != std::string::npos;
        for (int64_t expert = 0; expert < (each ? model.architecture().mixture.experts : 1); ++expert) {
          importance[WeightNames::ForLayer(name, expert)] = statistics;
        }
      }
    }
  }
  const std::string& head = model.architecture().tied_embeddings ? names.embedding : names.output;
  CONCLAVE_ASSIGN_OR_RETURN(importance[head], gatherer.Take(ProductInput::kHead, 0));
  return importance;
}

/// From the best to the most frugal. Blocks are whole super blocks (256 numbers).
constexpr ColumnGrouping kGroupings[] = {
    {.whole = 2048, .width = 512}, {.whole = 512, .width = 512}, {.whole = 256, .width = 256}};

uint64_t BytesOf(const Architecture& a, ColumnGrouping grouping) {
  const uint64_t hidden = grouping.Bytes(a.hidden);
  const uint64_t layer =
      2 * hidden + grouping.Bytes(a.query_heads * a.output_dim()) + grouping.Bytes(a.inner);
  return static_cast<uint64_t>(a.layers) * layer + hidden;
}

}  // namespace

Result<ColumnGrouping> FittingGrouping(const Architecture& architecture, uint64_t memory_bytes) {
  uint64_t bytes = 0;
  for (const ColumnGrouping grouping : kGroupings) {
    bytes = BytesOf(architecture, grouping);
    if (bytes <= memory_bytes) return grouping;
  }
  constexpr uint64_t kMib = 1 << 20;
  return ResourceExhausted("calibrating this model takes " + std::to_string((bytes + kMib - 1) / kMib) +
                           " MiB of statistics, more than the " + std::to_string(memory_bytes / kMib) +
                           " allowed (--calibration-memory-mib)");
}

Status ObserveText(LanguageModel& model, std::span<const int32_t> tokens, int64_t window,
                   ActivationObserver& observer, const std::function<void(int64_t, int64_t)>& progress) {
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t windows, CountWindows(model, tokens, window));
  const Observed observed(model, observer);
  for (int64_t i = 0; i < windows; ++i) {
    CONCLAVE_RETURN_IF_ERROR(
        model.ForEachLogits(tokens.subspan(i * window, window), 0, [](int64_t, std::span<float>) {}));
    progress(i + 1, windows);
  }
  return Status::Ok();
}

Result<Importance> Calibrate(LanguageModel& model, std::span<const int32_t> tokens,
                             const CalibrationOptions& options,
                             const std::function<void(int64_t, int64_t)>& progress) {
  CONCLAVE_RETURN_IF_ERROR(CountWindows(model, tokens, options.window).status());
  CONCLAVE_ASSIGN_OR_RETURN(const ColumnGrouping grouping,
                            FittingGrouping(model.architecture(), options.memory_bytes));
  StatisticsGatherer gatherer(model.pool(), grouping);
  CONCLAVE_RETURN_IF_ERROR(ObserveText(model, tokens, options.window, gatherer, progress));
  return ImportanceOf(gatherer, model);
}

}  // namespace conclave::engine
