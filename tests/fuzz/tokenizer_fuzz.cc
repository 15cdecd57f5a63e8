// Adversarial texts and vocabularies from fixed seeds: tokenizer_fuzz [CORPUS] [--iterations N] [--seed S]
//
// Every text must encode, come back byte for byte, and cost no more than a constant times its length: the
// work is counted, not timed. The corpus folder is not used: every input is made here.
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/detokenizer.h"
#include "base/utf8.h"
#include "services/tokenizer/byte_level.h"
#include "services/tokenizer/encoder.h"

namespace conclave::tokenizer {
namespace {

using Random = std::mt19937_64;

constexpr const char* kPreTokenizers[] = {"gpt-2",  "smollm",       "llama-bpe",      "qwen2",
                                          "qwen35", "deepseek-llm", "deepseek-coder", "falcon"};

/// What splitters, merges and special tokens turn on.
constexpr const char* kAtoms[] = {
    "a",      "b", "ab",         "aaaaaaaa",   " ",   "  ",     "\n", "\r\n",   "\t",     "'s",
    "'LL",    "'", "1",          "2",          "123", "!",      "<",  "<|",     "<|a",    "<|a|>",
    "<|a|>b", "é", "e\u0301",    "\u0301",     "日",  "\u3000", "😀", "\u200D", "\u00A0", "\u0085",
    "\u017F", "½", "\U00011DE0", "\U0010FFFF", "$",   "_",      "Z"};

std::string RandomText(Random& random, size_t length) {
  std::string text;
  const std::string unit = kAtoms[random() % std::size(kAtoms)];
  const uint64_t style = random() % 4;
  while (text.size() < length) {
    if (style == 0) text += unit;
    if (style == 1) text += kAtoms[random() % std::size(kAtoms)];
    if (style == 2) text += random() % 100 ? unit : kAtoms[random() % std::size(kAtoms)];
    if (style == 3) text.push_back(static_cast<char>(random()));
  }
  return ReplaceInvalidUtf8(text);
}

/// All bytes, merges of random tokens, and special tokens that begin alike.
VocabularyParts RandomVocabulary(Random& random) {
  VocabularyParts parts;
  parts.pre_tokenizer = kPreTokenizers[random() % std::size(kPreTokenizers)];
  parts.normalize_nfc = false;  // It changes the text, and this checks that the text comes back.
  parts.ignore_merges = random() % 2 == 0;
  for (int byte = 0; byte < 256; ++byte) parts.tokens.emplace_back(SpellByte(static_cast<uint8_t>(byte)));
  std::vector<std::string> mergeable = {"a", "b", "Ġ", "Ċ", "Ì", "ģ", "'", "s", "1"};
  std::set<std::string> known(parts.tokens.begin(), parts.tokens.end());
  for (int i = 0; i < 200; ++i) {
    const std::string left = mergeable[random() % mergeable.size()];
    const std::string right = mergeable[random() % mergeable.size()];
    if (left.size() + right.size() > 256 || !known.insert(left + right).second) continue;
    mergeable.push_back(left + right);
    parts.tokens.push_back(left + right);
    parts.merges.push_back(left + " " + right);
  }
  parts.types.assign(parts.tokens.size(), 1);
  for (const char* special : {"<|", "<|a|>", "<|a|>b<|a|>c", "\u00A0\u00A0"}) {
    parts.tokens.emplace_back(special);
    parts.types.push_back(random() % 2 ? 3 : 4);
  }
  return parts;
}

/// One damaged entry: the vocabulary must be refused or work, never break.
void Damage(Random& random, VocabularyParts& parts) {
  switch (random() % 7) {
    case 0:
      parts.tokens[random() % parts.tokens.size()] = parts.tokens[random() % parts.tokens.size()];
      break;
    case 1: parts.tokens[random() % parts.tokens.size()].assign(random() % 5000, 'x'); break;
    case 2: parts.types[random() % parts.types.size()] = static_cast<int64_t>(random()); break;
    case 3: parts.merges.push_back(RandomText(random, random() % 20)); break;
    case 4: parts.begin_token_id = static_cast<int64_t>(random()); break;
    case 5: parts.end_token_ids.push_back(static_cast<int64_t>(random() % 1000) - 100); break;
    default: parts.types.resize(random() % 600); break;
  }
}

std::string DecodeInSteps(const std::shared_ptr<const Vocabulary>& vocabulary,
                          const std::vector<int32_t>& ids) {
  Detokenizer detokenizer(vocabulary->table());
  std::string text;
  for (const int32_t id : ids) {
    const Result<std::string> part = detokenizer.Append({&id, 1}, /*keep_special=*/true);
    if (!part.ok() || !IsValidUtf8(*part)) return "a part of a character was released";
    text += *part;
  }
  return text + detokenizer.Finish();
}

/// Empty when all is well.
std::string Check(const std::shared_ptr<const Vocabulary>& vocabulary, const Encoder& encoder,
                  const std::string& text, bool parse_special) {
  MergeWork work;
  const auto ids = encoder.Encode(text, {.add_special = false, .parse_special = parse_special}, &work);
  if (!ids.ok()) return ids.status().ToString();
  if (ids->size() > text.size()) return "more tokens than bytes";
  if (work.heap_pushes > 3 * text.size()) return "too many heap pushes: " + std::to_string(work.heap_pushes);
  if (work.pair_lookups > 6 * text.size()) return "too many look-ups: " + std::to_string(work.pair_lookups);
  if (DecodeInSteps(vocabulary, *ids) != text) return "the text did not come back";
  return {};
}

struct Counts {
  size_t refused = 0;
  size_t encoded = 0;
};

std::string RunOne(Random& random, Counts& counts) {
  VocabularyParts parts = RandomVocabulary(random);
  const bool damaged = random() % 4 == 0;
  if (damaged) Damage(random, parts);
  const auto vocabulary = Vocabulary::Create(std::move(parts));
  if (!vocabulary.ok()) {
    ++counts.refused;
    return damaged ? "" : vocabulary.status().ToString();
  }
  const auto encoder = Encoder::Create(*vocabulary);
  if (!encoder.ok()) return encoder.status().ToString();
  for (int round = 0; round < 4; ++round) {
    const size_t length = random() % (round == 0 ? 50'000 : 2'000);
    const std::string text = RandomText(random, length);
    const std::string wrong = Check(*vocabulary, **encoder, text, random() % 2 == 0);
    // A damaged vocabulary may lack a byte; then the text need not come back.
    if (!wrong.empty() && !damaged) return wrong;
    ++counts.encoded;
  }
  return {};
}

int Run(uint64_t iterations, uint64_t seed) {
  Counts counts;
  for (uint64_t i = 0; i < iterations; ++i) {
    Random random(seed * 1'000'003 + i);
    const std::string wrong = RunOne(random, counts);
    if (wrong.empty()) continue;
    std::cerr << "iteration " << i << ", seed " << seed << ": " << wrong << "\n";
    return 1;
  }
  std::cout << iterations << " vocabularies, seed " << seed << ": " << counts.refused << " refused, "
            << counts.encoded << " texts encoded\n";
  return counts.encoded > 0 ? 0 : 1;
}

}  // namespace
}  // namespace conclave::tokenizer

int main(int argc, char** argv) {
  uint64_t iterations = 1000;
  uint64_t seed = 1;
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], "--iterations") == 0) iterations = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
  }
  return conclave::tokenizer::Run(iterations, seed);
}
