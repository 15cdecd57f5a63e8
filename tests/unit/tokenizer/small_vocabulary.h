#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "services/tokenizer/byte_level.h"
#include "services/tokenizer/vocabulary.h"

namespace conclave::tokenizer {

/// A vocabulary small enough to reason about: the 256 bytes (token N is byte N), then what each merge makes
/// (token 256 + rank), then <|end|> and <|start|> (control) and "<tool>" (user-defined).
inline VocabularyParts SmallParts(const std::vector<std::string>& merges) {
  VocabularyParts parts;
  parts.pre_tokenizer = "gpt-2";
  parts.merges = merges;
  for (int byte = 0; byte < 256; ++byte) parts.tokens.emplace_back(SpellByte(static_cast<uint8_t>(byte)));
  for (std::string merged : merges) {
    merged.erase(merged.find(' '), 1);
    parts.tokens.push_back(merged);
  }
  parts.types.assign(parts.tokens.size(), 1);
  for (const char* control : {"<|end|>", "<|start|>"}) {
    parts.tokens.emplace_back(control);
    parts.types.push_back(3);
  }
  parts.tokens.emplace_back("<tool>");
  parts.types.push_back(4);
  return parts;
}

/// The merges of a few words, as training would find them.
inline std::vector<std::string> WordMerges() {
  return {"h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "Ġwor l", "Ġworl d", "Ġ hello"};
}

inline std::shared_ptr<const Vocabulary> MakeVocabulary(VocabularyParts parts) {
  auto vocabulary = Vocabulary::Create(std::move(parts));
  EXPECT_TRUE(vocabulary.ok()) << vocabulary.status().ToString();
  return vocabulary.ok() ? *vocabulary : nullptr;
}

}  // namespace conclave::tokenizer
