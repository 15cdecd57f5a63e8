#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/tensor/dtype.h"

namespace conclave::engine {

/// A number format that GGUF defines, by the id that files carry. The engine computes with some; of the
/// others it knows the size, so that a file that holds them can be checked and the tensors refused by the
/// format's name when used.
struct GgufTensorType {
  uint32_t id;
  std::string_view name;
  uint64_t block_elements;
  uint64_t block_bytes;
  std::optional<DType> dtype;  ///< Empty: the engine cannot compute with it.
};

/// nullptr for an id that is not defined.
const GgufTensorType* FindGgufTensorType(uint32_t id);

/// The type that stores `dtype`; there is one for each.
const GgufTensorType& GgufTensorTypeOf(DType dtype);

}  // namespace conclave::engine
