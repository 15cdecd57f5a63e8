// Feeds random documents to everything that reads them, and random bytes to what reads the disk; checks what
// the functions promise of their results. Deterministic: the same seed and number give the same inputs.
//   retriever_fuzz [--iterations N] [--seed S] [--only I]
// A failure prints its iteration; `--only` runs that one again. A sanitizer's report ends the program.

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

#include "base/utf8.h"
#include "services/retriever/chunker.h"
#include "services/retriever/limits.h"
#include "services/retriever/posting_block.h"
#include "services/retriever/prepare_document.h"
#include "services/retriever/text_extraction.h"

namespace conclave::retriever {
namespace {

constexpr const char* kParts[] = {
    "<",        ">",         "</",     "<!--",       "-->",         "--!>",         "<p>",
    "</p>",     "<h1>",      "</h1>",  "<h3 a='",    "'",           "\"",           "=",
    "<script>", "</script>", "<style", "<template>", "</template>", "<pre>",        "</pre>",
    "<title>",  "<td>",      "<br/>",  "&",          "&amp",        "&amp;",        "&#",
    "&#x",      "&#x1F600;", "&notin", ";",          "#",           "## ",          "\n",
    "\r\n",     "\n\n",      "---",    "===",        "```",         "~~~",          "    ",
    "\t",       " ",         "word",   "Sentence. ", "漢字",        "ภาษา",         "👨‍👩‍👧",
    "é",        "\u0301",    "\u200D", "\xFF",       "\xC3",        "\xED\xA0\x80", "\xEF\xBF\xBD",
    "\x1B",     "_x_",       "don’t",  "0",          "3.14",        "\xC2\x85"};

std::string RandomDocument(std::mt19937_64& random) {
  std::string text;
  if (random() % 8 == 0) text = random() % 2 ? std::string("\xFF\xFE") : std::string("\xFE\xFF");
  if (random() % 16 == 0) text = "\xEF\xBB\xBF";
  const size_t parts = random() % (random() % 20 == 0 ? 5000 : 200);
  const size_t variety = 1 + random() % std::size(kParts);
  const size_t first = random() % std::size(kParts);
  for (size_t i = 0; i < parts; ++i) {
    if (random() % 50 == 0) {
      text += static_cast<char>(random());
    } else {
      text += kParts[(first + random() % variety) % std::size(kParts)];
    }
  }
  return text;
}

bool Check(bool fine, const char* what) {
  if (!fine) std::cerr << "broken promise: " << what << '\n';
  return fine;
}

bool CheckBlocks(const ExtractedText& extracted) {
  bool fine = Check(extracted.blocks.empty() != extracted.skip_reason.empty(), "blocks or a reason");
  for (const TextBlock& block : extracted.blocks) {
    fine &= Check(!block.text.empty() && IsValidUtf8(block.text) && IsValidUtf8(block.heading),
                  "blocks are UTF-8");
    fine &= Check(block.heading.size() <= kMaxHeadingLevels * (kMaxHeadingBytes + 3), "headings are bounded");
    for (const char c : block.text) {
      fine &= Check(static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t', "no control characters");
    }
  }
  return fine;
}

bool CheckPrepared(const Preparation& prepared) {
  bool fine = true;
  for (const auto& passage : prepared.document.passages) {
    fine &= Check(!passage.chunk.text.empty() && IsValidUtf8(passage.chunk.text), "passages are UTF-8");
    fine &= Check(passage.chunk.text.size() < (size_t{64} << 10), "passages are bounded");
    uint64_t sum = 0;
    for (const auto& [term, count] : passage.terms) {
      fine &=
          Check(!term.empty() && term.size() <= kMaxTermBytes && IsValidUtf8(term), "terms are short UTF-8");
      fine &= Check(term.find('\0') == std::string::npos, "terms hold no NUL");
      sum += count;
    }
    fine &= Check(sum == passage.length, "lengths are sums");
  }
  return fine;
}

bool CheckPostings(const std::string& bytes) {
  const auto block = DecodePostings(bytes);
  if (!block.ok()) return true;
  const auto again = DecodePostings(EncodePostings(*block));
  return Check(again.ok() && *again == *block, "posting blocks survive encoding");
}

bool RunOne(uint64_t seed, uint64_t iteration, Analyzer& analyzer) {
  std::mt19937_64 random(seed * 1'000'003 + iteration);
  const std::string content = RandomDocument(random);
  bool fine = true;
  for (const DocumentFormat format :
       {DocumentFormat::kText, DocumentFormat::kMarkdown, DocumentFormat::kHtml}) {
    fine &= CheckBlocks(ExtractText(content, format));
    const ChunkerOptions options{.target_words = random() % 50, .overlap_words = random() % 50};
    fine &= CheckPrepared(PrepareDocument({{"t", "c"}, "s", format, content}, analyzer, options));
  }
  std::string bytes(1 + random() % 40, static_cast<char>(random() % 4));
  for (char& byte : bytes) {
    if (random() % 2) byte = static_cast<char>(random() % 3 ? random() % 8 : random());
  }
  return fine & CheckPostings(bytes);
}

int Run(int argc, char** argv) {
  uint64_t iterations = 2000, seed = 1;
  int64_t only = -1;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const uint64_t value = std::strtoull(argv[i + 1], nullptr, 10);
    if (flag == "--iterations") iterations = value;
    if (flag == "--seed") seed = value;
    if (flag == "--only") only = static_cast<int64_t>(value);
  }
  auto analyzer = Analyzer::Make();
  if (!analyzer.ok()) {
    std::cerr << analyzer.status().ToString() << '\n';
    return 1;
  }
  const uint64_t first = only >= 0 ? only : 0, end = only >= 0 ? only + 1 : iterations;
  for (uint64_t i = first; i < end; ++i) {
    if (RunOne(seed, i, *analyzer)) continue;
    std::cerr << "failed; replay with --seed " << seed << " --only " << i << '\n';
    return 1;
  }
  std::cout << end - first << " documents, seed " << seed << ": every promise kept\n";
  return 0;
}

}  // namespace
}  // namespace conclave::retriever

int main(int argc, char** argv) { return conclave::retriever::Run(argc, argv); }
