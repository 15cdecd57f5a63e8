#include "services/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <iterator>

#include "services/tokenizer/staged_splitter.h"
#include "services/tokenizer/word_splitters.h"

namespace conclave::tokenizer {
namespace {

enum class Family { kGpt2, kGpt2Digits, kLlama3, kQwen2, kQwen35, kDeepSeekLlm, kDeepSeekCoder, kFalcon };

struct Entry {
  std::string_view name;
  Family family;
  bool ignore_merges = false;
  bool normalize_nfc = false;
  bool add_begin_token = false;
};

constexpr Entry kEntries[] = {
    {"gpt-2", Family::kGpt2},
    {"phi-2", Family::kGpt2},
    {"mpt", Family::kGpt2, false, true},
    {"olmo", Family::kGpt2, false, true},
    {"smollm", Family::kGpt2Digits},
    {"starcoder", Family::kGpt2Digits},
    {"refact", Family::kGpt2Digits},
    {"codeshell", Family::kGpt2Digits},
    {"command-r", Family::kGpt2Digits, false, true},
    {"llama-bpe", Family::kLlama3, true, false, true},
    {"llama3", Family::kLlama3, true, false, true},
    {"llama-v3", Family::kLlama3, true, false, true},
    {"dbrx", Family::kLlama3},
    {"smaug-bpe", Family::kLlama3},
    {"chatglm-bpe", Family::kLlama3},
    {"glm4", Family::kLlama3},
    {"qwen2", Family::kQwen2, false, true},
    {"deepseek-r1-qwen", Family::kQwen2},
    {"qwen35", Family::kQwen35},
    {"deepseek-llm", Family::kDeepSeekLlm},
    {"deepseek-coder", Family::kDeepSeekCoder},
    {"falcon", Family::kFalcon},
};

struct Pattern {
  std::string_view expression;
  std::string_view name;
};

constexpr Pattern kPatterns[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", "gpt-2"},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "llama-bpe"},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "qwen2"},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "qwen35"},
};

std::shared_ptr<const PreTokenizer> MakeSplitter(Family family) {
  switch (family) {
    case Family::kGpt2: return MakeGpt2Splitter(/*individual_digits=*/false);
    case Family::kGpt2Digits: return MakeGpt2Splitter(/*individual_digits=*/true);
    case Family::kLlama3: return MakeLlama3Splitter({});
    case Family::kQwen2: return MakeLlama3Splitter({.max_digits = 1});
    case Family::kQwen35: return MakeLlama3Splitter({.max_digits = 1, .marks_in_words = true});
    case Family::kDeepSeekLlm: return MakeDeepSeekLlmSplitter();
    case Family::kDeepSeekCoder: return MakeDeepSeekCoderSplitter();
    case Family::kFalcon: return MakeFalconSplitter();
  }
  return nullptr;
}

}  // namespace

Result<PreTokenizerChoice> FindPreTokenizer(std::string_view name) {
  std::string known;
  for (const Entry& entry : kEntries) {
    if (entry.name == name) {
      return PreTokenizerChoice{MakeSplitter(entry.family), entry.ignore_merges, entry.normalize_nfc,
                                entry.add_begin_token};
    }
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return Unimplemented("the pre-tokenizer '" + std::string(name.substr(0, 64)) +
                       "' is not supported; known are " + known);
}

std::string_view PreTokenizerLike(std::string_view name, bool ignore_merges, bool normalize_nfc) {
  const auto* const named = std::ranges::find(kEntries, name, &Entry::name);
  if (named == std::end(kEntries)) return {};
  for (const Entry& entry : kEntries) {
    if (entry.family == named->family && entry.ignore_merges == ignore_merges &&
        entry.normalize_nfc == normalize_nfc) {
      return entry.name;
    }
  }
  return {};
}

std::string_view PreTokenizerOfPattern(std::string_view expression) {
  for (const Pattern& pattern : kPatterns) {
    if (pattern.expression == expression) return pattern.name;
  }
  return {};
}

}  // namespace conclave::tokenizer
