#include "services/tokenizer/json_pre_tokenizer.h"

#include <vector>

#include <nlohmann/json.hpp>

#include "services/tokenizer/json_access.h"
#include "services/tokenizer/pre_tokenizer.h"

namespace conclave::tokenizer {
namespace {

using nlohmann::json;

Status Unknown(const char* what, const json& value) {
  const std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
  return Unimplemented("tokenizer.json's " + std::string(what) + " is not supported: " + text.substr(0, 200));
}

/// The parts of a "Sequence", or the one thing itself.
std::vector<const json*> PartsOf(const json& value, const char* list) {
  std::vector<const json*> parts;
  if (value.is_null()) return parts;
  if (JsonString(value, "type") != "Sequence") return {&value};
  const json* items = JsonMember(value, list);
  if (items == nullptr || !items->is_array()) return {&value};
  for (const json& item : *items) parts.push_back(&item);
  return parts;
}

bool IsDigits(const json& part) {
  return JsonString(part, "type") == "Digits" && JsonBool(part, "individual_digits", false);
}

bool IsByteLevel(const json& part, bool use_regex) {
  return JsonString(part, "type") == "ByteLevel" && !JsonBool(part, "add_prefix_space", true) &&
         JsonBool(part, "use_regex", true) == use_regex;
}

/// The name for a "Split" whose regular expression is known; empty otherwise.
std::string_view NameOfSplit(const json& part) {
  const json* pattern = JsonMember(part, "pattern");
  if (JsonString(part, "type") != "Split" || pattern == nullptr) return {};
  const std::string behavior = JsonString(part, "behavior");
  const bool inverted = JsonBool(part, "invert", false);
  // "Removed" of everything but the matches keeps the same pieces: the expressions match all of a text.
  if (!(behavior == "Isolated" && !inverted) && !(behavior == "Removed" && inverted)) return {};
  return PreTokenizerOfPattern(JsonString(*pattern, "Regex"));
}

}  // namespace

Result<std::string> NameJsonPreTokenizer(const json& pre_tokenizer) {
  const std::vector<const json*> parts = PartsOf(pre_tokenizer, "pretokenizers");
  if (parts.size() == 1 && IsByteLevel(*parts[0], /*use_regex=*/true)) return std::string("gpt-2");
  if (parts.size() == 2 && IsDigits(*parts[0]) && IsByteLevel(*parts[1], true)) return std::string("smollm");
  if (parts.size() == 2 && IsByteLevel(*parts[1], /*use_regex=*/false)) {
    const std::string_view name = NameOfSplit(*parts[0]);
    if (!name.empty()) return std::string(name);
  }
  return Unknown("pre_tokenizer", pre_tokenizer);
}

Result<bool> ReadJsonNormalizer(const json& normalizer) {
  bool nfc = false;
  for (const json* part : PartsOf(normalizer, "normalizers")) {
    if (JsonString(*part, "type") != "NFC") return Unknown("normalizer", normalizer);
    nfc = true;
  }
  return nfc;
}

Result<std::string> ReadJsonBeginToken(const json& post_processor) {
  std::string begin;
  for (const json* part : PartsOf(post_processor, "processors")) {
    if (JsonString(*part, "type") == "ByteLevel") continue;
    const json* single = JsonMember(*part, "single");
    if (JsonString(*part, "type") != "TemplateProcessing" || single == nullptr || !single->is_array()) {
      return Unknown("post_processor", *part);
    }
    const bool has_begin = single->size() == 2;
    if (single->empty() || single->size() > 2 || JsonMember(single->back(), "Sequence") == nullptr) {
      return Unknown("post_processor", *single);
    }
    if (!has_begin) continue;
    const json* special = JsonMember(single->front(), "SpecialToken");
    if (special == nullptr || !begin.empty()) return Unknown("post_processor", *single);
    begin = JsonString(*special, "id");
  }
  return begin;
}

}  // namespace conclave::tokenizer
