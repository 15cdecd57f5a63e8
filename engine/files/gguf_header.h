#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/files/gguf_metadata.h"
#include "engine/files/gguf_types.h"

namespace conclave::engine {

/// One entry of a GGUF tensor directory, checked against the file's size.
struct GgufTensorInfo {
  std::string name;
  uint64_t entry_offset = 0;  ///< Where the entry begins in the file, for messages.
  int rank = 0;
  std::array<int64_t, 4> shape{};  ///< Outermost first (the file has the innermost first).
  const GgufTensorType* type = nullptr;
  uint64_t data_offset = 0;  ///< From the beginning of the file.
  uint64_t data_bytes = 0;
};

/// Where one key-value pair stands in the file: from the length of its key to the end of its value. A program
/// that writes the pair into another file copies these bytes, since GgufMetadata widens numbers.
struct GgufPairSpan {
  std::string key;
  uint64_t offset = 0;  ///< From the beginning of the file.
  uint64_t bytes = 0;
};

struct GgufHeader {
  uint32_t version = 0;
  uint64_t alignment = 0;  ///< Of tensor data, in bytes.
  GgufMetadata metadata;
  std::vector<GgufPairSpan> pairs;      ///< In file order; one for each entry of `metadata`.
  std::vector<GgufTensorInfo> tensors;  ///< In directory order; names are unique and data do not overlap.
};

/// Whether the bytes begin as a GGUF file does.
bool HasGgufMagic(std::span<const std::byte> file);

/// Reads and checks the header of a whole GGUF file, version 2 or 3, little-endian
/// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Errors: INVALID_ARGUMENT (names the field and
/// its byte offset), UNIMPLEMENTED (another version or byte order, by name).
Result<GgufHeader> ReadGgufHeader(std::span<const std::byte> file);

}  // namespace conclave::engine
