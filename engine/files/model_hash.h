#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace conclave::engine {

/// Names one state of a model on disk without reading it: when two keys are equal the hash is taken to be,
/// too. Cheap (one stat a file); callers keep hashes by it.
struct ModelHashKey {
  std::string path;
  uint64_t size_bytes = 0;  ///< Of all files that HashModel reads.
  int64_t modified_ns = 0;  ///< The latest modification of any of them, since 1970.
  friend auto operator<=>(const ModelHashKey&, const ModelHashKey&) = default;
};

/// Errors: as HashModel.
Result<ModelHashKey> ModelHashKeyOf(const std::string& path);

/// The SHA-256 that names a model, as 64 hexadecimal digits. Of a file: of its bytes, as `sha256sum` prints
/// it. Of a folder: of one line "HASH  NAME\n" for config.json, model.safetensors.index.json and every
/// .safetensors file, in the order of their names. Reads everything once (about 1 GB/s or more). Errors:
/// NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (empty, no model), RESOURCE_EXHAUSTED.
Result<std::string> HashModel(const std::string& path);

}  // namespace conclave::engine
