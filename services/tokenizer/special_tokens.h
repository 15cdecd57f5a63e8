#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "services/tokenizer/vocabulary.h"

namespace conclave::tokenizer {

/// Finds the texts of control, user-defined and unknown tokens: the leftmost, and the longest of those that
/// begin there. Immutable; any thread may call.
class SpecialTokens {
 public:
  explicit SpecialTokens(const Vocabulary& vocabulary);

  struct Match {
    size_t begin = 0;
    size_t end = 0;
    int32_t token_id = -1;  // -1: there is none.
  };

  /// The first match at or after `from`. Looks at no more than the longest special token's bytes for each
  /// byte passed over.
  Match FindNext(std::string_view text, size_t from) const;

 private:
  /// A node of a trie over bytes; its children are a list.
  struct Node {
    int32_t token_id = -1;
    int32_t first_child = -1;
    int32_t next_sibling = -1;
    uint8_t byte = 0;
  };

  int32_t Child(int32_t node, uint8_t byte) const;
  void Insert(std::string_view text, int32_t token_id);
  Match MatchAt(std::string_view text, size_t at) const;

  std::vector<Node> nodes_;
  std::array<int32_t, 256> roots_;  // The children of the root, for speed.
};

}  // namespace conclave::tokenizer
