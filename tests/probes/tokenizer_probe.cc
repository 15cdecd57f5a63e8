// Drives the tokenizer for tests/peers/tokenizer_test.py, without the program around it.
//
//   tokenizer_probe MODEL < requests > answers
//
// A request is one byte (what to do), a 32-bit little-endian length and so many bytes:
//   'e' encode the text as plain text; 's' with special tokens parsed; 'b' the same, with the begin token
//   'd' decode the 32-bit ids, special tokens left out; 'k' kept
// An answer is one byte ('o' or 'x'), a 32-bit length and the ids or the text, or the error's message.
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "base/detokenizer.h"
#include "services/tokenizer/encoder.h"
#include "services/tokenizer/model_files.h"

namespace conclave::tokenizer {
namespace {

constexpr uint32_t kMaxRequestBytes = 64u << 20;

struct Probe {
  std::shared_ptr<const Vocabulary> vocabulary;
  std::unique_ptr<const Encoder> encoder;
};

Result<Probe> Load(const std::string& model) {
  CONCLAVE_ASSIGN_OR_RETURN(TokenizerFiles files, ReadTokenizerFiles(model));
  Probe probe;
  CONCLAVE_ASSIGN_OR_RETURN(probe.vocabulary, Vocabulary::Create(std::move(files.vocabulary)));
  CONCLAVE_ASSIGN_OR_RETURN(probe.encoder, Encoder::Create(probe.vocabulary));
  return probe;
}

Result<std::string> Encode(const Probe& probe, const std::string& text, const EncodeOptions& options) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, probe.encoder->Encode(text, options));
  return std::string(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t));
}

/// Token by token, as a stream would.
Result<std::string> Decode(const Probe& probe, const std::string& bytes, bool keep_special) {
  std::vector<int32_t> ids(bytes.size() / sizeof(int32_t));
  std::memcpy(ids.data(), bytes.data(), ids.size() * sizeof(int32_t));
  Detokenizer detokenizer(probe.vocabulary->table());
  std::string text;
  for (const int32_t id : ids) {
    CONCLAVE_ASSIGN_OR_RETURN(const std::string part, detokenizer.Append({&id, 1}, keep_special));
    text += part;
  }
  return text + detokenizer.Finish();
}

Result<std::string> Answer(const Probe& probe, char what, const std::string& bytes) {
  switch (what) {
    case 'e': return Encode(probe, bytes, {});
    case 's': return Encode(probe, bytes, {.parse_special = true});
    case 'b': return Encode(probe, bytes, {.add_special = true, .parse_special = true});
    case 'd': return Decode(probe, bytes, /*keep_special=*/false);
    case 'k': return Decode(probe, bytes, /*keep_special=*/true);
    default: return InvalidArgument("no such request");
  }
}

bool ReadRequest(char* what, std::string* bytes) {
  uint32_t size = 0;
  if (!std::cin.get(*what) || !std::cin.read(reinterpret_cast<char*>(&size), sizeof(size))) return false;
  if (size > kMaxRequestBytes) return false;
  bytes->resize(size);
  return static_cast<bool>(std::cin.read(bytes->data(), size));
}

void WriteAnswer(const Result<std::string>& answer) {
  const std::string& text = answer.ok() ? *answer : answer.status().message();
  const auto size = static_cast<uint32_t>(text.size());
  std::cout.put(answer.ok() ? 'o' : 'x');
  std::cout.write(reinterpret_cast<const char*>(&size), sizeof(size));
  std::cout.write(text.data(), size);
}

int Run(const std::string& model) {
  const Result<Probe> probe = Load(model);
  if (!probe.ok()) {
    std::cerr << probe.status().ToString() << "\n";
    return 1;
  }
  std::ios::sync_with_stdio(false);
  std::string bytes;
  for (char what; ReadRequest(&what, &bytes);) {
    WriteAnswer(Answer(*probe, what, bytes));
    if (std::cin.rdbuf()->in_avail() <= 0) std::cout.flush();
  }
  std::cout.flush();
  return 0;
}

}  // namespace
}  // namespace conclave::tokenizer

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: tokenizer_probe MODEL\n";
    return 2;
  }
  return conclave::tokenizer::Run(argv[1]);
}
