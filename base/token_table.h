#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace conclave {

/// The text of every token of a vocabulary: what a decoder of tokens needs to know of it. Built by one
/// thread, then any thread may read.
class TokenTable {
 public:
  void Reserve(size_t tokens) {
    ends_.reserve(tokens);
    special_.reserve(tokens);
  }

  /// The next token: its bytes in a text, which need not be whole characters, and whether it has no place in
  /// one (control tokens and the unknown token). All tokens together may have at most 2^32 - 1 bytes.
  void Add(std::string_view bytes, bool special) {
    bytes_ += bytes;
    ends_.push_back(static_cast<uint32_t>(bytes_.size()));
    special_.push_back(special);
  }

  int32_t size() const { return static_cast<int32_t>(ends_.size()); }
  bool Contains(int64_t id) const { return id >= 0 && id < size(); }

  /// The id must exist.
  std::string_view Bytes(int32_t id) const {
    const uint32_t begin = id == 0 ? 0 : ends_[id - 1];
    return std::string_view(bytes_).substr(begin, ends_[id] - begin);
  }
  bool IsSpecial(int32_t id) const { return special_[id]; }

 private:
  std::string bytes_;  // Of all tokens, one after the other.
  std::vector<uint32_t> ends_;
  std::vector<bool> special_;
};

}  // namespace conclave
