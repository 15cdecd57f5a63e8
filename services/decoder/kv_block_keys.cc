#include "services/decoder/kv_block_keys.h"

#include "base/sha256.h"

namespace conclave::decoder {
namespace {

/// To be raised when the same model and tokens come to give other bits, or a block another order of them.
constexpr int64_t kFormat = 2;

std::string Digest(std::string_view text) {
  const Sha256::Digest digest = Sha256::Of(std::as_bytes(std::span(text)));
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// Each part after its length, so that no two run together.
void Append(std::string& text, std::string_view part) {
  text.append(std::to_string(part.size())).append(":").append(part);
}

}  // namespace

KvBlockKeys::KvBlockKeys(const engine::KvLayout& layout, std::string_view kernels) {
  Append(origin_, "conclave keys and values");
  for (const int64_t number : {kFormat, engine::kKvBlockTokens, layout.layers, layout.kv_heads,
                               layout.head_dim, layout.value_dim, static_cast<int64_t>(layout.format)}) {
    Append(origin_, std::to_string(number));
  }
  Append(origin_, kernels);
}

std::vector<std::string> KvBlockKeys::Of(std::string_view salt, std::span<const int32_t> tokens) const {
  std::vector<std::string> keys;
  std::string text = origin_;
  Append(text, salt);
  std::string before = Digest(text);
  for (size_t begin = 0; begin + engine::kKvBlockTokens <= tokens.size(); begin += engine::kKvBlockTokens) {
    text = before;
    for (const int32_t token : tokens.subspan(begin, engine::kKvBlockTokens)) {
      for (int shift = 0; shift < 32; shift += 8) {
        text.push_back(static_cast<char>(static_cast<uint32_t>(token) >> shift));
      }
    }
    before = Digest(text);
    keys.push_back(before);
  }
  return keys;
}

}  // namespace conclave::decoder
