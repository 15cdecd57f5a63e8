#include "services/tokenizer/character_runs.h"
#include "services/tokenizer/word_splitters.h"

namespace conclave::tokenizer {
namespace {

/// The alternatives of the pattern: each piece is a run of one kind.
enum Kind : uint8_t { kOtherKind, kLetterKind, kNumberKind, kSpaceKind, kDigitKind };

template <bool kIndividualDigits>
class Gpt2Splitter final : public PreTokenizer {
 public:
  Gpt2Splitter() {
    for (int byte = 0; byte < 0x80; ++byte)
      ascii_kinds_[byte] = KindOf(CharacterTable::Get().AsciiClasses(byte));
    for (int byte = 0x80; byte < 256; ++byte) ascii_kinds_[byte] = kNotAscii;
  }

  void Split(std::string_view text, PieceSink& sink) const override {
    for (size_t at = 0; at < text.size();) {
      const size_t end = Next(text, at);
      sink.Piece(text.substr(at, end - at));
      at = end;
    }
  }

 private:
  static constexpr uint8_t kNotAscii = 255;

  struct KindOfCharacter {
    uint8_t kind;
    uint32_t length;
  };

  static Kind KindOf(uint8_t classes) {
    if (kIndividualDigits && (classes & kDigit)) return kDigitKind;
    if (classes & kLetter) return kLetterKind;
    if (classes & kSpace) return kSpaceKind;
    return classes & kNumber ? kNumberKind : kOtherKind;
  }

  KindOfCharacter KindAt(std::string_view text, size_t at) const {
    const uint8_t kind = ascii_kinds_[static_cast<uint8_t>(text[at])];
    if (kind != kNotAscii) return {kind, 1};
    const ClassifiedCharacter character = ClassifyAt(text, at);
    return {KindOf(character.classes), character.length};
  }

  size_t RunEnd(std::string_view text, size_t at, uint8_t kind) const {
    while (at < text.size()) {
      const KindOfCharacter next = KindAt(text, at);
      if (next.kind != kind) break;
      at += next.length;
    }
    return at;
  }

  size_t Next(std::string_view text, size_t at) const {
    KindOfCharacter first = KindAt(text, at);
    size_t word = at;
    if (text[at] == ' ' && at + 1 < text.size()) {
      const KindOfCharacter second = KindAt(text, at + 1);
      if (second.kind == kDigitKind) return at + 1;
      if (second.kind != kSpaceKind) {
        first = second;
        word = at + 1;
      }
    } else if (text[at] == '\'') {
      const size_t contraction = ScanContraction(text, at, /*any_case=*/false);
      if (contraction > at) return contraction;
    }
    if (first.kind == kSpaceKind) return SpacesEnd(text, at);
    if (first.kind == kDigitKind) return at + first.length;
    return RunEnd(text, word + first.length, first.kind);
  }

  /// \s+(?!\S)|\s+: the run's last character is left to the word that follows, unless it is all there is. A
  /// digit that was cut out does not follow: the text ends before it.
  size_t SpacesEnd(std::string_view text, size_t at) const {
    const SpaceRun run = ScanSpaces(text, at);
    if (run.end == text.size() || run.last == at) return run.end;
    return KindAt(text, run.end).kind == kDigitKind ? run.end : run.last;
  }

  std::array<uint8_t, 256> ascii_kinds_;
};

}  // namespace

std::shared_ptr<const PreTokenizer> MakeGpt2Splitter(bool individual_digits) {
  if (individual_digits) return std::make_shared<Gpt2Splitter<true>>();
  return std::make_shared<Gpt2Splitter<false>>();
}

}  // namespace conclave::tokenizer
