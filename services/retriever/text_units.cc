#include "services/retriever/text_units.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

namespace conclave::retriever {
namespace {

/// A word's part ends behind so many characters.
constexpr size_t kPartCharacters = 12;
/// Or behind so many bytes: marks can make a character long.
constexpr size_t kPartBytes = 128;
/// Beyond so many bytes a grapheme cluster is an attack on the reader, and may be cut.
constexpr size_t kMaxClusterBytes = 64;

struct CodePoint {
  UChar32 value;
  size_t end;
};

CodePoint ReadCodePoint(std::string_view text, size_t at) {
  UChar32 value;
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  U8_NEXT_OR_FFFD(bytes, at, text.size(), value);
  return {value, at};
}

/// Scripts without blanks between words, as line breaking sees them (UAX 14).
bool IsHalfWord(UChar32 c) {
  switch (u_getIntPropertyValue(c, UCHAR_LINE_BREAK)) {
    case U_LB_IDEOGRAPHIC:
    case U_LB_COMPLEX_CONTEXT:
    case U_LB_CONDITIONAL_JAPANESE_STARTER: return true;
    default: return false;
  }
}

/// Whether a grapheme cluster goes on from `before` to `after` (UAX 29, GB3 to GB13, a little more
/// generously: regional indicators and Hangul syllables are never parted).
bool JoinsCluster(UChar32 before, UChar32 after) {
  const int right = u_getIntPropertyValue(after, UCHAR_GRAPHEME_CLUSTER_BREAK);
  if (right == U_GCB_EXTEND || right == U_GCB_ZWJ || right == U_GCB_SPACING_MARK) return true;
  if (right == U_GCB_REGIONAL_INDICATOR || right == U_GCB_V || right == U_GCB_T) return true;
  const int left = u_getIntPropertyValue(before, UCHAR_GRAPHEME_CLUSTER_BREAK);
  return left == U_GCB_ZWJ || left == U_GCB_PREPEND;
}

bool EndsSentence(UChar32 c) { return u_hasBinaryProperty(c, UCHAR_S_TERM) || c == ':' || c == ';'; }

/// Closing quotes and brackets may stand behind a sentence's end.
bool IsCloser(UChar32 c) {
  const int8_t type = u_charType(c);
  return type == U_END_PUNCTUATION || type == U_FINAL_PUNCTUATION || c == '"' || c == '\'';
}

size_t SkipBlanks(std::string_view text, size_t at, size_t end) {
  while (at < end && IsBlank(text[at])) ++at;
  return at;
}

/// The unit that begins at `begin`, where no blank is.
TextUnit ReadUnit(std::string_view text, size_t begin, size_t end) {
  TextUnit unit{begin, begin, begin, 0, UnitEnd::kWordPart};
  size_t characters = 0, halves = 0, cluster_begin = begin;
  UChar32 before = 0;
  bool sentence = false;
  while (unit.end < end && !IsBlank(text[unit.end])) {
    const CodePoint next = ReadCodePoint(text, unit.end);
    const bool joins =
        unit.end > begin && JoinsCluster(before, next.value) && next.end - cluster_begin <= kMaxClusterBytes;
    if (!joins) {
      // An ideographic sentence may go on without a blank.
      const bool full =
          halves >= kPartCharacters || characters >= kPartCharacters || unit.end - begin >= kPartBytes;
      if (full || (sentence && halves > 0 && !IsCloser(next.value))) break;
      cluster_begin = unit.end;
      if (IsHalfWord(next.value)) {
        ++halves;
      } else {
        ++characters;
      }
      sentence = EndsSentence(next.value) || (sentence && IsCloser(next.value));
    }
    before = next.value;
    unit.end = next.end;
  }
  unit.next = SkipBlanks(text, unit.end, end);
  unit.half_words = halves + (characters > 0 ? 2 : 0);
  if (unit.next > unit.end) unit.ends = UnitEnd::kWord;
  if (sentence) unit.ends = UnitEnd::kSentence;
  if (unit.next == end) unit.ends = UnitEnd::kParagraph;
  return unit;
}

}  // namespace

void AppendUnits(std::string_view text, size_t begin, size_t end, std::vector<TextUnit>& units) {
  for (size_t at = SkipBlanks(text, begin, end); at < end; at = units.back().next) {
    units.push_back(ReadUnit(text, at, end));
  }
}

}  // namespace conclave::retriever
