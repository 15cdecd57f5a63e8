#include "engine/quantise/calibrate.h"

#include <string>
#include <vector>

#include "engine/quantise/statistics_gatherer.h"

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

Result<Importance> ImportanceOf(const StatisticsGatherer& gatherer, const LanguageModel& model) {
  const WeightNames& names = model.names();
  struct Product {
    ProductInput input;
    std::vector<const std::string*> patterns;
  };
  const Product products[] = {{ProductInput::kAttention, {&names.query, &names.key, &names.value}},
                              {ProductInput::kAttentionOutput, {&names.attention_output}},
                              {ProductInput::kFeedForward, {&names.gate, &names.up}},
                              {ProductInput::kDown, {&names.down}}};
  Importance importance;
  for (int64_t layer = 0; layer < model.architecture().layers; ++layer) {
    for (const Product& product : products) {
      CONCLAVE_ASSIGN_OR_RETURN(const auto statistics, gatherer.Find(product.input, layer));
      for (const std::string* pattern : product.patterns) {
        importance[WeightNames::ForLayer(*pattern, layer)] = statistics;
      }
    }
  }
  const std::string& head = model.architecture().tied_embeddings ? names.embedding : names.output;
  CONCLAVE_ASSIGN_OR_RETURN(importance[head], gatherer.Find(ProductInput::kHead, 0));
  return importance;
}

}  // namespace

Result<Importance> Calibrate(LanguageModel& model, std::span<const int32_t> tokens, int64_t window,
                             const std::function<void(int64_t, int64_t)>& progress) {
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t windows, CountWindows(model, tokens, window));
  StatisticsGatherer gatherer(model.pool());
  const Observed observed(model, gatherer);
  for (int64_t i = 0; i < windows; ++i) {
    CONCLAVE_RETURN_IF_ERROR(
        model.ForEachLogits(tokens.subspan(i * window, window), 0, [](int64_t, std::span<float>) {}));
    progress(i + 1, windows);
  }
  return ImportanceOf(gatherer, model);
}

}  // namespace conclave::engine
