#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "services/tokenizer/hashing.h"
#include "services/tokenizer/limits.h"

namespace conclave::tokenizer {

/// The tokens of short pieces that were seen before. A fixed number of slots; a piece's slot is overwritten
/// by the next one that hashes to it, so that no input makes it grow or slow. One thread.
class PieceCache {
 public:
  static constexpr size_t kMaxPieceBytes = 32;
  static constexpr size_t kMaxTokens = 7;

  /// The piece's bytes as words: with the size they name it exactly.
  struct Key {
    uint64_t words[4];
    uint8_t size;
  };

  struct Entry {
    uint64_t words[4] = {};
    uint8_t size = 0;  // 0: free.
    uint8_t token_count = 0;
    int32_t token_ids[kMaxTokens] = {};
  };

  PieceCache() : entries_(kPieceCacheEntries) {}

  /// Only for pieces of 1 to kMaxPieceBytes bytes.
  static Key KeyOf(std::string_view piece);

  Entry& SlotOf(const Key& key) {
    const uint64_t low = key.words[0] ^ MixBits(key.words[2] ^ key.size);
    return entries_[MixBits(low ^ (key.words[1] + key.words[3])) & (kPieceCacheEntries - 1)];
  }

  static bool Holds(const Entry& entry, const Key& key) {
    return entry.size == key.size && std::equal(key.words, key.words + 4, entry.words);
  }

  /// Remembers the tokens, unless they are too many.
  static void Store(Entry& entry, const Key& key, const int32_t* token_ids, size_t token_count) {
    if (token_count > kMaxTokens) return;
    std::copy(key.words, key.words + 4, entry.words);
    entry.size = key.size;
    entry.token_count = static_cast<uint8_t>(token_count);
    std::copy(token_ids, token_ids + token_count, entry.token_ids);
  }

 private:
  std::vector<Entry> entries_;
};

static_assert(sizeof(PieceCache::Entry) == 64, "one cache line");

inline PieceCache::Key PieceCache::KeyOf(std::string_view piece) {
  const char* bytes = piece.data();
  const size_t size = piece.size();
  const auto load = [](const char* from) {
    uint64_t word;
    std::memcpy(&word, from, 8);
    return word;
  };
  const auto load_half = [](const char* from) {
    uint32_t word;
    std::memcpy(&word, from, 4);
    return static_cast<uint64_t>(word);
  };
  const auto byte = [&](size_t i) { return static_cast<uint64_t>(static_cast<uint8_t>(bytes[i])); };
  Key key{{}, static_cast<uint8_t>(size)};
  if (size > 16) {
    key.words[0] = load(bytes);
    key.words[1] = load(bytes + 8);
    key.words[2] = load(bytes + size - 16);
    key.words[3] = load(bytes + size - 8);
  } else if (size >= 8) {
    key.words[0] = load(bytes);
    key.words[1] = load(bytes + size - 8);
  } else if (size >= 4) {
    key.words[0] = load_half(bytes) | load_half(bytes + size - 4) << 32;
  } else {
    key.words[0] = byte(0) | byte(size / 2) << 8 | byte(size - 1) << 16;
  }
  return key;
}

}  // namespace conclave::tokenizer
