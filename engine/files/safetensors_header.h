#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/tensor/dtype.h"

namespace conclave::engine {

/// One tensor of a .safetensors file, checked against the file's size.
struct SafetensorsEntry {
  std::string name;
  std::optional<DType> dtype;  ///< Empty: `unusable` says why.
  std::string unusable;        ///< For example "is stored as I64".
  bool is_bytes = false;       ///< Unsigned bytes of at most four dimensions, for ModelFile::FindBytes.
  int rank = 0;
  std::array<int64_t, 4> shape{};
  uint64_t data_offset = 0;  ///< From the beginning of the file.
  uint64_t data_bytes = 0;
};

/// Reads and checks the header of a whole .safetensors file (https://github.com/huggingface/safetensors,
/// "Format"): data must cover the file without gaps or overlaps. Entries come in the order of their data.
/// Errors: INVALID_ARGUMENT (names the field and its byte offset).
Result<std::vector<SafetensorsEntry>> ReadSafetensorsHeader(std::span<const std::byte> file);

}  // namespace conclave::engine
