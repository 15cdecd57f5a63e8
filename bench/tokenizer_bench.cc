// How fast one thread encodes: tokenizer_bench MODEL FILE [ROUNDS] [--json]
//
// The file is encoded document by document (split at empty lines, as an application would send them), the
// best of ROUNDS (default 5) counts. The limit beside it is how fast this thread can read the same memory.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "services/tokenizer/encoder.h"
#include "services/tokenizer/model_files.h"

namespace conclave::tokenizer {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<std::string_view> Documents(std::string_view text) {
  std::vector<std::string_view> documents;
  for (size_t at = 0; at < text.size();) {
    const size_t gap = text.find("\n\n", at);
    const size_t end = gap == std::string_view::npos ? text.size() : gap + 2;
    documents.push_back(text.substr(at, end - at));
    at = end;
  }
  return documents;
}

struct Measurement {
  double encode_s = std::numeric_limits<double>::infinity();
  double read_s = std::numeric_limits<double>::infinity();
  size_t tokens = 0;
};

/// Sums the text's words: what reading alone costs.
double ReadOnceS(std::string_view text, volatile uint64_t* sink) {
  const auto start = std::chrono::steady_clock::now();
  uint64_t sum = 0;
  for (size_t at = 0; at + 8 <= text.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    sum += word;
  }
  *sink = sum;
  return SecondsSince(start);
}

Result<Measurement> Measure(const Encoder& encoder, std::string_view text, int rounds) {
  const std::vector<std::string_view> documents = Documents(text);
  Measurement best;
  volatile uint64_t sink = 0;
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    size_t tokens = 0;
    for (const std::string_view document : documents) {
      CONCLAVE_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, encoder.Encode(document, {}));
      tokens += ids.size();
    }
    best.encode_s = std::min(best.encode_s, SecondsSince(start));
    best.read_s = std::min(best.read_s, ReadOnceS(text, &sink));
    best.tokens = tokens;
  }
  return best;
}

Status Run(const std::string& model, const std::string& file, int rounds, bool json) {
  std::ifstream stream(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (text.empty()) return NotFound("cannot read " + file);
  const auto start = std::chrono::steady_clock::now();
  CONCLAVE_ASSIGN_OR_RETURN(TokenizerFiles files, ReadTokenizerFiles(model));
  CONCLAVE_ASSIGN_OR_RETURN(auto vocabulary, Vocabulary::Create(std::move(files.vocabulary)));
  CONCLAVE_ASSIGN_OR_RETURN(const auto encoder, Encoder::Create(std::move(vocabulary)));
  const double load_s = SecondsSince(start);
  CONCLAVE_ASSIGN_OR_RETURN(const Measurement best, Measure(*encoder, text, rounds));
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  const double value = megabytes / best.encode_s;
  const double limit = megabytes / best.read_s;
  if (json) {
    std::cout << R"({"name":"tokenizer","value":)" << value << R"(,"unit":"MB/s","limit":)" << limit
              << R"(,"share_of_limit":)" << value / limit << R"(,"details":{"bytes":)" << text.size()
              << R"(,"tokens":)" << best.tokens << R"(,"load_ms":)" << load_s * 1e3 << "}}\n";
  } else {
    std::cout << value << " MB/s (" << best.tokens << " tokens from " << text.size() << " bytes; loaded in "
              << load_s * 1e3 << " ms)\n";
  }
  return Status::Ok();
}

}  // namespace
}  // namespace conclave::tokenizer

int main(int argc, char** argv) {
  const bool json = argc > 1 && std::strcmp(argv[argc - 1], "--json") == 0;
  const int arguments = argc - (json ? 1 : 0);
  if (arguments < 3) {
    std::cerr << "usage: tokenizer_bench MODEL FILE [ROUNDS] [--json]\n";
    return 2;
  }
  const int rounds = arguments > 3 ? std::max(1, std::atoi(argv[3])) : 5;
  const conclave::Status status = conclave::tokenizer::Run(argv[1], argv[2], rounds, json);
  if (!status.ok()) std::cerr << status.ToString() << "\n";
  return status.ok() ? 0 : 1;
}
