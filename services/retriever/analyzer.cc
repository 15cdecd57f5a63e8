#include "services/retriever/analyzer.h"

#include <utility>

#include <libstemmer.h>
#include <unicode/brkiter.h>
#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

#include "base/utf8.h"
#include "services/retriever/limits.h"

namespace conclave::retriever {
namespace {

struct StemmerDeleter {
  void operator()(sb_stemmer* stemmer) const { sb_stemmer_delete(stemmer); }
};

/// Text is broken into words so many bytes at a time: UTF-16 of all of a large text would be twice its size.
constexpr size_t kWindowBytes = size_t{64} << 10;

/// Where the window that begins at `text` ends: behind the last blank, else between two characters.
size_t WindowEnd(std::string_view text) {
  if (text.size() <= kWindowBytes) return text.size();
  const size_t blank = text.find_last_of(" \n\t", kWindowBytes);
  if (blank != std::string_view::npos && blank > 0) return blank;
  return kWindowBytes - IncompleteUtf8Suffix(text.substr(0, kWindowBytes));
}

/// "don’t" and "don't" are one word. "_so_" is emphasis.
void TidyWord(icu::UnicodeString& word) {
  word.findAndReplace(icu::UnicodeString(char16_t{0x2019}), icu::UnicodeString(u'\''));
  int32_t begin = 0, end = word.length();
  while (begin < end && word[begin] == u'_') ++begin;
  while (end > begin && word[end - 1] == u'_') --end;
  word.truncate(end);
  word.remove(0, begin);
}

void CutTerm(std::string& term) {
  if (term.size() <= kMaxTermBytes) return;
  term.resize(kMaxTermBytes);
  term.resize(term.size() - IncompleteUtf8Suffix(term));
}

}  // namespace

struct Analyzer::State {
  std::unique_ptr<icu::BreakIterator> words;
  const icu::Normalizer2* fold;
  std::unique_ptr<sb_stemmer, StemmerDeleter> stemmer;

  void AnalyzeWindow(std::string_view text, std::vector<std::string>& terms) {
    const auto utf16 =
        icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
    words->setText(utf16);
    int32_t begin = words->first();
    for (int32_t end = words->next(); end != icu::BreakIterator::DONE; begin = end, end = words->next()) {
      if (words->getRuleStatus() < UBRK_WORD_NUMBER) continue;
      std::string term = TermOf(utf16.tempSubStringBetween(begin, end));
      if (!term.empty()) terms.push_back(std::move(term));
    }
  }

  std::string TermOf(const icu::UnicodeString& word) {
    UErrorCode error = U_ZERO_ERROR;
    icu::UnicodeString folded = fold->normalize(word, error);
    if (U_FAILURE(error)) return {};
    TidyWord(folded);
    std::string term;
    folded.toUTF8String(term);
    // Longer ones are no words of a language: stemming would only cost time.
    if (term.size() <= kMaxTermBytes) {
      const auto* stem = sb_stemmer_stem(stemmer.get(), reinterpret_cast<const sb_symbol*>(term.data()),
                                         static_cast<int>(term.size()));
      if (stem != nullptr && sb_stemmer_length(stemmer.get()) > 0) {
        term.assign(reinterpret_cast<const char*>(stem), sb_stemmer_length(stemmer.get()));
      }
    }
    CutTerm(term);
    return term;
  }
};

Result<Analyzer> Analyzer::Make(const std::string& language) {
  auto state = std::make_unique<State>();
  UErrorCode error = U_ZERO_ERROR;
  state->words.reset(icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), error));
  state->fold = icu::Normalizer2::getNFKCCasefoldInstance(error);
  if (U_FAILURE(error)) {
    return Internal(std::string("ICU has no data for word breaking: ") + u_errorName(error));
  }
  state->stemmer.reset(sb_stemmer_new(language.c_str(), "UTF_8"));
  if (!state->stemmer) {
    return InvalidArgument("Snowball has no stemmer for language '" + language +
                           "'; try \"english\" or \"german\"");
  }
  return Analyzer(std::move(state));
}

Analyzer::Analyzer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Analyzer::Analyzer(Analyzer&&) noexcept = default;
Analyzer& Analyzer::operator=(Analyzer&&) noexcept = default;
Analyzer::~Analyzer() = default;

std::vector<std::string> Analyzer::Analyze(std::string_view text) {
  std::vector<std::string> terms;
  while (!text.empty()) {
    const size_t end = WindowEnd(text);
    state_->AnalyzeWindow(text.substr(0, end), terms);
    text.remove_prefix(end);
  }
  return terms;
}

}  // namespace conclave::retriever
