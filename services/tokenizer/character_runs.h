#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "services/tokenizer/unicode_classes.h"

namespace conclave::tokenizer {

/// One character with its classes.
struct ClassifiedCharacter {
  uint8_t classes;
  uint32_t length;  // In bytes.
};

inline ClassifiedCharacter ClassifyAt(std::string_view text, size_t at) {
  const auto first = static_cast<uint8_t>(text[at]);
  const CharacterTable& table = CharacterTable::Get();
  if (first < 0x80) return {table.AsciiClasses(first), 1};
  const DecodedCharacter decoded = DecodeValid(text, at);
  return {table.Classes(decoded.character), decoded.length};
}

/// Where a run of white space ends, and where its last character begins.
struct SpaceRun {
  size_t end;
  size_t last;
  size_t after_newline;  // After the last \r or \n in it; its begin when there is none.
};

inline SpaceRun ScanSpaces(std::string_view text, size_t at) {
  SpaceRun run{at, at, at};
  while (run.end < text.size()) {
    const ClassifiedCharacter next = ClassifyAt(text, run.end);
    if (!(next.classes & kSpace)) break;
    const bool newline = text[run.end] == '\n' || text[run.end] == '\r';
    run.last = run.end;
    run.end += next.length;
    if (newline) run.after_newline = run.end;
  }
  return run;
}

/// The end of the run from `at` of characters whose classes satisfy `belongs`.
template <typename Belongs>
size_t ScanWhile(std::string_view text, size_t at, Belongs belongs) {
  while (at < text.size()) {
    const ClassifiedCharacter next = ClassifyAt(text, at);
    if (!belongs(next.classes)) break;
    at += next.length;
  }
  return at;
}

/// The end of an English contraction ('s 't 're 've 'm 'll 'd) that begins at the apostrophe at `at`; `at`
/// when there is none. Any case: capitals too, and U+017F, the long s, which is an s when case is ignored.
inline size_t ScanContraction(std::string_view text, size_t at, bool any_case) {
  const auto letter = [&](size_t i) -> char {
    if (at + i >= text.size()) return 0;
    const char c = text[at + i];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = letter(1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  const char second = letter(2);
  if ((first == 'r' || first == 'v') && second == 'e') return at + 3;
  if (first == 'l' && second == 'l') return at + 3;
  if (any_case && text.substr(at + 1, 2) == "\u017F") return at + 3;
  return at;
}

}  // namespace conclave::tokenizer
