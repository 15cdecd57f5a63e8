#include "services/tokenizer/character_runs.h"
#include "services/tokenizer/word_splitters.h"

namespace conclave::tokenizer {
namespace {

bool IsNewline(char c) { return c == '\n' || c == '\r'; }

class Llama3Splitter final : public PreTokenizer {
 public:
  explicit Llama3Splitter(const Llama3Rules& rules)
      : max_digits_(rules.max_digits), word_(rules.marks_in_words ? kLetter | kMark : kLetter) {}

  void Split(std::string_view text, PieceSink& sink) const override {
    for (size_t at = 0; at < text.size();) {
      const size_t end = Next(text, at);
      sink.Piece(text.substr(at, end - at));
      at = end;
    }
  }

 private:
  bool IsOther(uint8_t classes) const { return !(classes & (word_ | kNumber | kSpace)); }

  size_t WordEnd(std::string_view text, size_t at) const {
    return ScanWhile(text, at, [this](uint8_t classes) { return classes & word_; });
  }

  /// [^\s\p{L}\p{N}]+[\r\n]*
  size_t OthersEnd(std::string_view text, size_t at) const {
    at = ScanWhile(text, at, [this](uint8_t classes) { return IsOther(classes); });
    while (at < text.size() && IsNewline(text[at])) ++at;
    return at;
  }

  size_t DigitsEnd(std::string_view text, size_t at) const {
    for (int digits = 0; digits < max_digits_ && at < text.size(); ++digits) {
      const ClassifiedCharacter next = ClassifyAt(text, at);
      if (!(next.classes & kNumber)) break;
      at += next.length;
    }
    return at;
  }

  /// \s*[\r\n]+|\s+(?!\S)|\s+
  static size_t SpacesEnd(std::string_view text, size_t at) {
    const SpaceRun run = ScanSpaces(text, at);
    if (run.after_newline > at) return run.after_newline;
    return run.end == text.size() || run.last == at ? run.end : run.last;
  }

  size_t Next(std::string_view text, size_t at) const {
    if (text[at] == '\'') {
      const size_t contraction = ScanContraction(text, at, /*any_case=*/true);
      if (contraction > at) return contraction;
    }
    const ClassifiedCharacter first = ClassifyAt(text, at);
    const size_t second_at = at + first.length;
    if (first.classes & kLetter) return WordEnd(text, second_at);
    if (first.classes & kNumber) return DigitsEnd(text, at);
    const uint8_t second = second_at < text.size() ? ClassifyAt(text, second_at).classes : uint8_t{kSpace};
    // One character that is neither letter, number nor newline may lead a word.
    if (!IsNewline(text[at]) && (second & word_)) return WordEnd(text, second_at);
    if (first.classes & word_) return WordEnd(text, second_at);
    if (first.classes & kSpace) {
      return text[at] == ' ' && IsOther(second) ? OthersEnd(text, second_at) : SpacesEnd(text, at);
    }
    return OthersEnd(text, at);
  }

  const int max_digits_;
  const uint8_t word_;
};

}  // namespace

std::shared_ptr<const PreTokenizer> MakeLlama3Splitter(const Llama3Rules& rules) {
  return std::make_shared<Llama3Splitter>(rules);
}

}  // namespace conclave::tokenizer
