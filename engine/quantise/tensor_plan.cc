#include "engine/quantise/tensor_plan.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "engine/files/quoted.h"

namespace conclave::engine {
namespace {

constexpr std::string_view kEmbedding = "token_embd.weight";
constexpr std::string_view kHead = "output.weight";
/// Parts of the names of matrices that are small and sensitive.
constexpr std::string_view kKeptParts[] = {"_norm.weight", "ffn_gate_inp", "position_embd", "token_types"};

struct Target {
  DType dtype;
  uint32_t file_type;
};

constexpr Target kTargets[] = {
    {DType::kF32, 0},  {DType::kF16, 1},  {DType::kQ4_0, 2},  {DType::kQ4_1, 3},  {DType::kQ8_0, 7},
    {DType::kQ5_0, 8}, {DType::kQ5_1, 9}, {DType::kQ4_K, 14}, {DType::kQ5_K, 16}, {DType::kQ6_K, 18},
};

bool IsMatrix(const TensorView& tensor) {
  return tensor.rank >= 2 && tensor.name.ends_with(".weight") &&
         std::ranges::none_of(
             kKeptParts, [&](std::string_view part) { return tensor.name.find(part) != std::string::npos; });
}

}  // namespace

Result<DType> ParseTargetType(std::string_view name) {
  std::string upper(name);
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return std::toupper(c); });
  std::string known;
  for (const Target& target : kTargets) {
    if (InfoOf(target.dtype).name == upper) return target.dtype;
    known += (known.empty() ? "" : ", ") + std::string(InfoOf(target.dtype).name);
  }
  return InvalidArgument("there is no type " + Quoted(name) + " to write; there are " + known);
}

uint32_t FileTypeOf(DType dtype) {
  if (dtype == DType::kBF16) return 32;  // No target: only files that keep their source's matrices have it.
  const auto* const found = std::ranges::find(kTargets, dtype, &Target::dtype);
  return found == std::end(kTargets) ? 0 : found->file_type;
}

DType FittingType(DType wanted, int64_t columns) {
  if (RowBytes(wanted, columns)) return wanted;
  DType smaller = DType::kF16;
  if (wanted == DType::kQ4_K) smaller = DType::kQ5_0;
  if (wanted == DType::kQ5_K) smaller = DType::kQ5_1;
  if (wanted == DType::kQ6_K) smaller = DType::kQ8_0;
  return RowBytes(smaller, columns) ? smaller : DType::kF16;
}

std::vector<DType> PlanTensors(const std::vector<TensorView>& tensors, const TensorTypes& types) {
  const bool own_head =
      std::ranges::any_of(tensors, [](const TensorView& tensor) { return tensor.name == kHead; });
  std::vector<DType> plan;
  for (const TensorView& tensor : tensors) {
    const bool head = tensor.name == (own_head ? kHead : kEmbedding);
    const DType wanted = head ? types.head : types.matrices;
    plan.push_back(IsMatrix(tensor) ? FittingType(wanted, tensor.shape[tensor.rank - 1]) : DType::kF32);
  }
  return plan;
}

}  // namespace conclave::engine
