#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/cache/kv_cache.h"

namespace conclave::decoder {

/// Names of blocks of keys and values outside memory: a chain of SHA-256 digests, each over the one before it
/// and a block's tokens, that begins with all else that a block's bits may depend on. Any thread may use it.
class KvBlockKeys {
 public:
  /// `kernels`: the name of the kernels' instruction set.
  KvBlockKeys(const engine::KvLayout& layout, std::string_view kernels);

  /// A key (32 bytes) for each whole block of `tokens`. `salt` says whose they are, of which model.
  std::vector<std::string> Of(std::string_view salt, std::span<const int32_t> tokens) const;

 private:
  std::string origin_;
};

}  // namespace conclave::decoder
