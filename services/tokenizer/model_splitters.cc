#include <algorithm>
#include <iterator>

#include "services/tokenizer/character_runs.h"
#include "services/tokenizer/staged_splitter.h"
#include "services/tokenizer/word_splitters.h"

namespace conclave::tokenizer {
namespace {

struct CodePointRange {
  uint32_t first;
  uint32_t last;
};

/// Letters that have case, as DeepSeek LLM's tokenizer.json lists them; ascending.
// clang-format off
constexpr CodePointRange kCasedLetters[] = {
    {0x41, 0x5A}, {0x61, 0x7A}, {0xB5, 0xB5}, {0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x1BA},
    {0x1BC, 0x1BF}, {0x1C4, 0x293}, {0x295, 0x2AF}, {0x370, 0x373}, {0x376, 0x376}, {0x377, 0x377},
    {0x37B, 0x37D}, {0x37F, 0x37F}, {0x386, 0x386}, {0x388, 0x38A}, {0x38C, 0x38C}, {0x38E, 0x3A1},
    {0x3A3, 0x3F5}, {0x3F7, 0x481}, {0x48A, 0x52F}, {0x531, 0x556}, {0x10A0, 0x10C5}, {0x13A0, 0x13F5},
    {0x13F8, 0x13FD}, {0x1C90, 0x1CBA}, {0x1CBD, 0x1CBF}, {0x1D00, 0x1D2B}, {0x1D6B, 0x1D77}, {0x1D79, 0x1D9A},
    {0x1E00, 0x1F15}, {0x1F18, 0x1F1D}, {0x1F20, 0x1F45}, {0x1F48, 0x1F4D}, {0x1F50, 0x1F57}, {0x1F59, 0x1F59},
    {0x1F5B, 0x1F5B}, {0x1F5D, 0x1F5D}, {0x1F5F, 0x1F7D}, {0x1F80, 0x1FB4}, {0x1FB6, 0x1FBC}, {0x1FBE, 0x1FBE},
    {0x1FC2, 0x1FC4}, {0x1FC6, 0x1FCC}, {0x1FD0, 0x1FD3}, {0x1FD6, 0x1FDB}, {0x1FE0, 0x1FEC}, {0x1FF2, 0x1FF4},
    {0x1FF6, 0x1FFC}, {0x2102, 0x2102}, {0x2107, 0x2107}, {0x210A, 0x2113}, {0x2115, 0x2115}, {0x2119, 0x211D},
    {0x2124, 0x2124}, {0x2126, 0x2126}, {0x2128, 0x2128}, {0x212A, 0x212D}, {0x212F, 0x2134}, {0x2139, 0x2139},
    {0x213C, 0x213F}, {0x2145, 0x2149}, {0x214E, 0x214E}, {0x2183, 0x2183}, {0x2184, 0x2184}, {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4}, {0x2CEB, 0x2CEE}, {0x2CF2, 0x2CF2}, {0x2CF3, 0x2CF3}, {0xA640, 0xA66D}, {0xA680, 0xA69B},
    {0xA722, 0xA76F}, {0xA771, 0xA787}, {0xA78B, 0xA78E}, {0xAB70, 0xABBF}, {0xFB00, 0xFB06}, {0xFB13, 0xFB17},
    {0xFF21, 0xFF3A}, {0xFF41, 0xFF5A}, {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2},
    {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
};
// clang-format on

constexpr CodePointRange kDeepSeekSigns[] = {{0x21, 0x2F},     {0x3A, 0x7E},     {0x2018, 0x201F},
                                             {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
constexpr CodePointRange kDeepSeekIdeographs[] = {{0x0800, 0x9FA5}, {0xAC00, 0xD7FF}};

template <size_t kCount>
bool IsIn(const CodePointRange (&ranges)[kCount], uint32_t character) {
  const auto* after =
      std::upper_bound(std::begin(ranges), std::end(ranges), character,
                       [](uint32_t c, const CodePointRange& range) { return c < range.first; });
  return after != std::begin(ranges) && character <= (after - 1)->last;
}

/// [ranges]+
template <size_t kCount>
size_t RangesEnd(const CodePointRange (&ranges)[kCount], std::string_view text, size_t at) {
  while (at < text.size()) {
    const DecodedCharacter next = DecodeValid(text, at);
    if (!IsIn(ranges, next.character)) break;
    at += next.length;
  }
  return at;
}

/// The end of one class of characters in a row.
template <uint8_t kClasses>
size_t ClassesEnd(std::string_view text, size_t at) {
  return ScanWhile(text, at, [](uint8_t classes) { return classes & kClasses; });
}

/// \s?X+ for a function that finds the end of X+. X may hold white space: then it may match without the \s.
size_t AfterOptionalSpace(std::string_view text, size_t at, MatchFunction run_end) {
  const ClassifiedCharacter first = ClassifyAt(text, at);
  if (first.classes & kSpace) {
    const size_t end = run_end(text, at + first.length);
    if (end > at + first.length) return end;
  }
  return run_end(text, at);
}

size_t MatchNewline(std::string_view text, size_t at) { return at + (text[at] == '\r' || text[at] == '\n'); }

size_t MatchCasedWord(std::string_view text, size_t at) {
  return AfterOptionalSpace(text, at,
                            [](std::string_view t, size_t i) { return RangesEnd(kCasedLetters, t, i); });
}

size_t MatchSigns(std::string_view text, size_t at) {
  return AfterOptionalSpace(text, at,
                            [](std::string_view t, size_t i) { return RangesEnd(kDeepSeekSigns, t, i); });
}

size_t MatchIdeographs(std::string_view text, size_t at) { return RangesEnd(kDeepSeekIdeographs, text, at); }

size_t MatchWord(std::string_view text, size_t at) {
  return AfterOptionalSpace(text, at, ClassesEnd<kLetter>);
}

size_t MatchPunctuation(std::string_view text, size_t at) {
  return AfterOptionalSpace(text, at, ClassesEnd<kPunctuation>);
}

size_t MatchDigit(std::string_view text, size_t at) {
  const ClassifiedCharacter first = ClassifyAt(text, at);
  return first.classes & kDigit ? at + first.length : at;
}

size_t MatchThreeAsciiDigits(std::string_view text, size_t at) {
  const auto is_digit = [&](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  return is_digit(at) && is_digit(at + 1) && is_digit(at + 2) ? at + 3 : at;
}

/// \s+$ : the white space at the end of a piece.
class TrailingSpaceSplitter final : public PreTokenizer {
 public:
  void Split(std::string_view text, PieceSink& sink) const override {
    size_t words_end = 0;
    for (size_t at = 0; at < text.size();) {
      const ClassifiedCharacter next = ClassifyAt(text, at);
      at += next.length;
      if (!(next.classes & kSpace)) words_end = at;
    }
    if (words_end > 0) sink.Piece(text.substr(0, words_end));
    if (words_end < text.size()) sink.Piece(text.substr(words_end));
  }
};

}  // namespace

std::shared_ptr<const PreTokenizer> MakeDeepSeekLlmSplitter() {
  return MakeStagedSplitter({MakeIsolatingSplitter(MatchNewline), MakeIsolatingSplitter(MatchCasedWord),
                             MakeIsolatingSplitter(MatchSigns), std::make_shared<TrailingSpaceSplitter>(),
                             MakeIsolatingSplitter(MatchIdeographs),
                             MakeIsolatingSplitter(ClassesEnd<kNumber>)});
}

std::shared_ptr<const PreTokenizer> MakeDeepSeekCoderSplitter() {
  return MakeStagedSplitter({MakeIsolatingSplitter(MatchNewline), MakeIsolatingSplitter(MatchWord),
                             MakeIsolatingSplitter(MatchPunctuation), MakeIsolatingSplitter(MatchIdeographs),
                             MakeIsolatingSplitter(MatchDigit)});
}

std::shared_ptr<const PreTokenizer> MakeFalconSplitter() {
  return MakeStagedSplitter({MakeIsolatingSplitter(ClassesEnd<kPunctuated>), MakeGpt2Splitter(false),
                             MakeIsolatingSplitter(MatchThreeAsciiDigits)});
}

}  // namespace conclave::tokenizer
