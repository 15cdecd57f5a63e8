#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "services/retriever/document.h"

namespace conclave::retriever {

// The keys of the store. Tenants, collections and terms hold no NUL character, so that a NUL ends each and no
// key of one collection can begin like a key of another; numbers are big-endian, so that they sort.
//
//     "v"                                  the layout's version
//     "c" tenant \0 collection             StoredCollection
//     "d" tenant \0 collection \0 ...      its data:
//         "s" source                       StoredSource
//         "k" chunk                        StoredChunk
//         "l" block                        posting block: each passage's length
//         "p" term \0 block                posting block: how often the term occurs in each passage

inline constexpr std::string_view kVersionKey = "v";
inline constexpr std::string_view kLayoutVersion = "1";

/// What every StoredCollection key of a tenant starts with; the collection's name follows.
std::string CollectionPrefix(std::string_view tenant);
std::string CollectionKey(const CollectionId& collection);

/// The keys of one collection's data.
class DataKeys {
 public:
  explicit DataKeys(const CollectionId& collection);

  const std::string& prefix() const { return prefix_; }
  std::string Source(std::string_view source) const;
  std::string Chunk(uint64_t chunk) const;
  std::string Lengths(uint64_t block) const;
  /// What all keys of a term's posting blocks start with.
  std::string TermPrefix(std::string_view term) const;
  std::string Postings(std::string_view term, uint64_t block) const;

 private:
  std::string prefix_;
};

/// The number that a key ends with; nothing when the key is too short.
std::optional<uint64_t> TrailingNumber(std::string_view key);

}  // namespace conclave::retriever
