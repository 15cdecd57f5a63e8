#include "services/feedback/record_keys.h"

#include <charconv>

#include "services/feedback/vote_token.h"

namespace conclave::feedback {
namespace {

constexpr std::string_view kRoot = "feedback/1/";
constexpr size_t kNumberDigits = 16;

std::string Key(std::string_view kind, std::string_view rest) {
  std::string key(kRoot);
  key += kind;
  key += rest;
  return key;
}

std::string PromptPart(std::string_view prompt_digest, Verdict verdict) {
  return Hex(prompt_digest) + (verdict == Verdict::kGood ? "/good" : "/bad");
}

}  // namespace

std::string ResponseKey(std::string_view response_id) { return Key("response/", response_id); }

std::string ReceiptKey(std::string_view response_id) { return Key("receipt/", response_id); }

std::string VoteKey(std::string_view nonce) { return Key("vote/", Hex(nonce)); }

std::string OrderKey(uint64_t sequence) { return std::string(kOrderPrefix) + EncodeNumber(sequence); }

std::string VerdictKey(std::string_view prompt_digest, Verdict verdict, uint64_t ordinal) {
  return Key("verdict/", PromptPart(prompt_digest, verdict)) + "/" + EncodeNumber(ordinal);
}

std::string VerdictCountKey(std::string_view prompt_digest, Verdict verdict) {
  return Key("count/", PromptPart(prompt_digest, verdict));
}

std::string LastSequenceKey() { return Key("sequence", ""); }

std::string EncodeNumber(uint64_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(kNumberDigits, '0');
  for (size_t i = kNumberDigits; i-- > 0; value >>= 4) text[i] = kDigits[value & 15];
  return text;
}

bool DecodeNumber(std::string_view text, uint64_t& value) {
  if (text.size() != kNumberDigits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace conclave::feedback
