#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace conclave::tokenizer {

/// Spreads a 64-bit value over all bits: multiply to 128 bits and fold.
inline uint64_t MixBits(uint64_t value) {
  const auto product = static_cast<unsigned __int128>(value ^ 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

/// Not for adversaries: what is hashed with it is bounded or only costs the owner of the model time.
inline uint64_t HashBytes(std::string_view bytes) {
  uint64_t hash = bytes.size();
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, 8);
    hash = MixBits(hash ^ word);
  }
  uint64_t tail = 0;
  if (at < bytes.size()) std::memcpy(&tail, bytes.data() + at, bytes.size() - at);
  return MixBits(hash ^ tail);
}

}  // namespace conclave::tokenizer
