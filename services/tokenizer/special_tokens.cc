#include "services/tokenizer/special_tokens.h"

namespace conclave::tokenizer {

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) {
  roots_.fill(-1);
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.IsSpecial(id) || vocabulary.Type(id) == TokenType::kUserDefined) {
      Insert(vocabulary.Spelling(id), id);
    }
  }
}

int32_t SpecialTokens::Child(int32_t node, uint8_t byte) const {
  int32_t child = nodes_[node].first_child;
  while (child >= 0 && nodes_[child].byte != byte) child = nodes_[child].next_sibling;
  return child;
}

void SpecialTokens::Insert(std::string_view text, int32_t token_id) {
  int32_t node = -1;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    int32_t child = node < 0 ? roots_[byte] : Child(node, byte);
    if (child < 0) {
      child = static_cast<int32_t>(nodes_.size());
      nodes_.push_back({.next_sibling = node < 0 ? -1 : nodes_[node].first_child, .byte = byte});
      (node < 0 ? roots_[byte] : nodes_[node].first_child) = child;
    }
    node = child;
  }
  nodes_[node].token_id = token_id;
}

SpecialTokens::Match SpecialTokens::MatchAt(std::string_view text, size_t at) const {
  Match match;
  int32_t node = roots_[static_cast<uint8_t>(text[at])];
  for (size_t i = at + 1; node >= 0; ++i) {
    if (nodes_[node].token_id >= 0) match = {at, i, nodes_[node].token_id};
    if (i == text.size()) break;
    node = Child(node, static_cast<uint8_t>(text[i]));
  }
  return match;
}

SpecialTokens::Match SpecialTokens::FindNext(std::string_view text, size_t from) const {
  for (size_t at = from; at < text.size(); ++at) {
    if (roots_[static_cast<uint8_t>(text[at])] < 0) continue;
    const Match match = MatchAt(text, at);
    if (match.token_id >= 0) return match;
  }
  return {text.size(), text.size(), -1};
}

}  // namespace conclave::tokenizer
