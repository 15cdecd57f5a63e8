#include "base/utf8.h"

#include <cstdint>

namespace conclave {
namespace {

struct Sequence {
  size_t length = 0;  // Bytes that belong together: a whole character, or the ill-formed part.
  bool valid = false;
  bool truncated = false;  // The text ended inside a so far well-formed character.
};

bool IsContinuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

/// Table 3-7 of the Unicode standard: the allowed range of the second byte depends on the first.
bool SecondByteAllowed(uint8_t first, uint8_t second) {
  switch (first) {
    case 0xE0: return second >= 0xA0 && second <= 0xBF;
    case 0xED: return second >= 0x80 && second <= 0x9F;
    case 0xF0: return second >= 0x90 && second <= 0xBF;
    case 0xF4: return second >= 0x80 && second <= 0x8F;
    default: return IsContinuation(second);
  }
}

size_t ExpectedLength(uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return 2;
  if (first >= 0xE0 && first <= 0xEF) return 3;
  if (first >= 0xF0 && first <= 0xF4) return 4;
  return 0;
}

Sequence ReadSequence(std::string_view text, size_t at) {
  const auto first = static_cast<uint8_t>(text[at]);
  const size_t expected = ExpectedLength(first);
  if (expected == 0) return {.length = 1};
  for (size_t i = 1; i < expected; ++i) {
    if (at + i == text.size()) return {.length = i, .truncated = true};
    const auto byte = static_cast<uint8_t>(text[at + i]);
    const bool allowed = i == 1 ? SecondByteAllowed(first, byte) : IsContinuation(byte);
    if (!allowed) return {.length = i};
  }
  return {.length = expected, .valid = true};
}

/// A copy in which `append_other(out, ill_formed_part)` stands for what is ill-formed.
template <typename AppendOther>
std::string Repair(std::string_view text, const AppendOther& append_other) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Sequence sequence = ReadSequence(text, at);
    const std::string_view part = text.substr(at, sequence.length);
    sequence.valid ? void(out.append(part)) : append_other(out, part);
    at += sequence.length;
  }
  return out;
}

}  // namespace

size_t ValidUtf8Prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Sequence sequence = ReadSequence(text, at);
    if (!sequence.valid) return at;
    at += sequence.length;
  }
  return at;
}

size_t IncompleteUtf8Suffix(std::string_view text) {
  const size_t first = text.size() > 3 ? text.size() - 3 : 0;
  for (size_t at = first; at < text.size(); ++at) {
    if (IsContinuation(static_cast<uint8_t>(text[at]))) continue;
    const Sequence sequence = ReadSequence(text, at);
    if (sequence.truncated) return text.size() - at;
  }
  return 0;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  return Repair(text, [](std::string& out, std::string_view) { out.append("\xEF\xBF\xBD"); });
}

std::string EscapeInvalidUtf8(std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  return Repair(text, [&](std::string& out, std::string_view part) {
    for (const char c : part) {
      const auto byte = static_cast<uint8_t>(c);
      out.append({'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]});
    }
  });
}

}  // namespace conclave
