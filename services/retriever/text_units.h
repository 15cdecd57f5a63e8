#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace conclave::retriever {

/// What a unit ends.
enum class UnitEnd { kWordPart, kWord, kSentence, kParagraph };

/// The smallest part that a passage is made of: text[begin, end), and the blanks behind it up to `next`.
struct TextUnit {
  size_t begin;
  size_t end;
  size_t next;
  /// In half words.
  size_t half_words;
  UnitEnd ends;
};

/// What stands between words and lines of a paragraph.
inline bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\t'; }

/// Appends the units of one paragraph, text[begin, end). `text`: valid UTF-8.
void AppendUnits(std::string_view text, size_t begin, size_t end, std::vector<TextUnit>& units);

}  // namespace conclave::retriever
