#include "engine/model/expert_layout.h"

#include <algorithm>
#include <string>

#include "engine/model/fused_experts.h"

namespace conclave::engine {
namespace {

constexpr int64_t kMostSlices = 4;

}  // namespace

int64_t FeedForwardSlices(const ModelFile& file, const ModelDescription& description) {
  const Architecture& architecture = description.architecture;
  int64_t block = kActivationBlock;
  for (int64_t layer = 0; layer < architecture.layers; ++layer) {
    const TensorView* down = file.Find(WeightNames::ForLayer(description.names.down, layer));
    if (down != nullptr) block = std::max(block, InfoOf(down->dtype).block_elements);
  }
  for (int64_t slices = kMostSlices; slices > 1; slices /= 2) {
    if (architecture.inner % (slices * block) == 0) return slices;
  }
  return 1;
}

ExpertLayout::ExpertLayout(const ModelFile& file, const ModelDescription& description)
    : file_(file), description_(description), slices_(FeedForwardSlices(file, description)) {}

LayerExperts ExpertLayout::layer(int64_t layer) const {
  const Architecture& architecture = description_.architecture;
  if (!architecture.mixed(layer)) return {.routed = 0, .common = slices_};
  return {.routed = architecture.mixture.experts, .common = architecture.mixture.shared_inner > 0 ? 1 : 0};
}

int64_t ExpertLayout::most() const {
  int64_t most = 0;
  for (int64_t i = 0; i < layers(); ++i) most = std::max(most, layer(i).total());
  return most;
}

int64_t ExpertLayout::width(int64_t layer, int64_t expert) const {
  const Architecture& architecture = description_.architecture;
  if (!architecture.mixed(layer)) return architecture.inner / slices_;
  return expert < architecture.mixture.experts ? architecture.mixture.inner
                                               : architecture.mixture.shared_inner;
}

Result<const TensorView*> ExpertLayout::Find(const std::string& pattern, int64_t layer,
                                             int64_t expert) const {
  return file_.Require(WeightNames::ForLayer(WeightNames::ForLayer(pattern, layer), expert));
}

Result<ExpertMatrices> ExpertLayout::Fused(int64_t layer, int64_t expert) const {
  const std::string both = WeightNames::ForLayer(description_.names.fused_gate_up, layer);
  const std::string down = WeightNames::ForLayer(description_.names.fused_down, layer);
  const auto copy = [&](const std::string& name, FusedRows rows) -> Result<ExpertMatrix> {
    CONCLAVE_ASSIGN_OR_RETURN(CopiedMatrix copied, CopyFusedExpert(file_, name, expert, rows));
    const int64_t row_count = copied.view.rows();
    const int64_t columns = copied.view.columns();
    return ExpertMatrix{std::move(copied.view), 0, row_count, 0, columns, std::move(copied.memory)};
  };
  ExpertMatrices out;
  CONCLAVE_ASSIGN_OR_RETURN(out.gate, copy(both, FusedRows::kEven));
  CONCLAVE_ASSIGN_OR_RETURN(out.up, copy(both, FusedRows::kOdd));
  CONCLAVE_ASSIGN_OR_RETURN(out.down, copy(down, FusedRows::kAll));
  return out;
}

Result<ExpertBiases> ExpertLayout::biases(int64_t layer, int64_t expert) const {
  ExpertBiases out;
  const Architecture& architecture = description_.architecture;
  if (!architecture.mixture.expert_bias || expert >= this->layer(layer).routed) return out;
  const WeightNames& names = description_.names;
  const bool fused = !names.fused_gate_up.empty();
  const auto copy = [&](const std::string& fused_name, const std::string& name, FusedRows rows) {
    const std::string bias =
        WeightNames::ForLayer(fused ? fused_name + "_bias" : WeightNames::BiasOf(name), layer);
    return CopyExpertBias(file_, bias, expert, fused ? rows : FusedRows::kAll);
  };
  CONCLAVE_ASSIGN_OR_RETURN(out.gate, copy(names.fused_gate_up, names.expert_gate, FusedRows::kEven));
  CONCLAVE_ASSIGN_OR_RETURN(out.up, copy(names.fused_gate_up, names.expert_up, FusedRows::kOdd));
  CONCLAVE_ASSIGN_OR_RETURN(out.down, copy(names.fused_down, names.expert_down, FusedRows::kAll));
  return out;
}

Result<bool> ExpertLayout::quantised(int64_t layer) const {
  const WeightNames& names = description_.names;
  const bool mixed = description_.architecture.mixed(layer);
  if (mixed && !names.fused_gate_up.empty()) {
    return IsQuantised(FusedType(file_, WeightNames::ForLayer(names.fused_gate_up, layer)));
  }
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* gate, Find(mixed ? names.expert_gate : names.gate, layer, 0));
  return IsQuantised(gate->dtype);
}

Result<ExpertMatrices> ExpertLayout::Routed(int64_t layer, int64_t expert) const {
  const WeightNames& names = description_.names;
  if (!names.fused_gate_up.empty()) return Fused(layer, expert);
  const int64_t inner = description_.architecture.mixture.inner;
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* gate, Find(names.expert_gate, layer, expert));
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* up, Find(names.expert_up, layer, expert));
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* down, Find(names.expert_down, layer, expert));
  // A tensor of all experts is one matrix below the other.
  const auto matrix = [expert](const TensorView* tensor, int64_t rows, int64_t columns) {
    const int64_t first = tensor->rank == 3 ? expert * rows : 0;
    return ExpertMatrix{*tensor, first, first + rows, 0, columns, nullptr};
  };
  return ExpertMatrices{.gate = matrix(gate, inner, hidden()),
                        .up = matrix(up, inner, hidden()),
                        .down = matrix(down, hidden(), inner)};
}

Result<ExpertMatrices> ExpertLayout::matrices(int64_t layer, int64_t expert) const {
  const LayerExperts experts = this->layer(layer);
  if (expert < experts.routed) return Routed(layer, expert);
  const WeightNames& names = description_.names;
  const bool shared = experts.routed > 0;
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* gate, Find(shared ? names.shared_gate : names.gate, layer, 0));
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* up, Find(shared ? names.shared_up : names.up, layer, 0));
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* down, Find(shared ? names.shared_down : names.down, layer, 0));
  const int64_t begin = (expert - experts.routed) * width(layer, expert);
  const int64_t end = begin + width(layer, expert);
  return ExpertMatrices{.gate = {*gate, begin, end, 0, hidden(), nullptr},
                        .up = {*up, begin, end, 0, hidden(), nullptr},
                        .down = {*down, 0, hidden(), begin, end, nullptr}};
}

}  // namespace conclave::engine
