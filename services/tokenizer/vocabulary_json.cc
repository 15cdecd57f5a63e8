#include "services/tokenizer/vocabulary_json.h"

#include <algorithm>
#include <utility>

#include "engine/files/json_text.h"
#include "services/tokenizer/byte_level.h"
#include "services/tokenizer/json_access.h"
#include "services/tokenizer/json_pre_tokenizer.h"
#include "services/tokenizer/limits.h"

namespace conclave::tokenizer {
namespace {

using nlohmann::json;

Status Bad(const std::string& what) { return InvalidArgument("tokenizer.json: " + what); }

/// Puts a token at its id; ids that no token has stay empty until FillGaps.
Status PlaceToken(const std::string& token, const json& id_value, TokenType type, VocabularyParts* parts) {
  const std::optional<int64_t> id = JsonInteger(id_value);
  if (!id || *id < 0 || *id >= static_cast<int64_t>(kMaxVocabularyTokens)) {
    return Bad("the id of '" + token.substr(0, 64) + "' is not 0 to " +
               std::to_string(kMaxVocabularyTokens - 1));
  }
  const auto index = static_cast<size_t>(*id);
  if (index >= parts->tokens.size()) {
    parts->tokens.resize(index + 1);
    parts->types.resize(index + 1, static_cast<int64_t>(TokenType::kUnused));
  }
  if (!parts->tokens[index].empty() && parts->tokens[index] != token) {
    return Bad("the id " + std::to_string(*id) + " names two tokens");
  }
  parts->tokens[index] = token;
  parts->types[index] = static_cast<int64_t>(type);
  return Status::Ok();
}

/// Models pad their vocabularies; a token that nobody can type keeps the ids in step.
void FillGaps(VocabularyParts* parts) {
  for (size_t id = 0; id < parts->tokens.size(); ++id) {
    if (parts->tokens[id].empty()) parts->tokens[id] = "[UNUSED " + std::to_string(id) + "]";
  }
}

Status ReadVocabulary(const json& model, VocabularyParts* parts) {
  const json* vocabulary = JsonMember(model, "vocab");
  if (vocabulary == nullptr || !vocabulary->is_object()) return Bad("model.vocab is not an object");
  for (const auto& [token, id] : vocabulary->items()) {
    if (token.empty()) return Bad("model.vocab has an empty token");
    CONCLAVE_RETURN_IF_ERROR(PlaceToken(token, id, TokenType::kNormal, parts));
  }
  return Status::Ok();
}

Status ReadMerges(const json& model, VocabularyParts* parts) {
  const json* merges = JsonMember(model, "merges");
  if (merges == nullptr || !merges->is_array()) return Bad("model.merges is not a list");
  if (merges->size() > kMaxMerges) return Bad("model.merges is too long");
  for (const json& merge : *merges) {
    const bool pair = merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
    if (!pair && !merge.is_string()) return Bad("model.merges holds what is no pair of tokens");
    if (!pair) {
      parts->merges.push_back(merge.get_ref<const std::string&>());
      continue;
    }
    const auto& left = merge[0].get_ref<const std::string&>();
    const auto& right = merge[1].get_ref<const std::string&>();
    if (left.find(' ') != std::string::npos) return Bad("a merge's token holds a space");
    parts->merges.push_back(left + ' ' + right);
  }
  return Status::Ok();
}

bool HasEveryByte(const json& model) {
  const json* vocabulary = JsonMember(model, "vocab");
  for (int byte = 0; byte < 256; ++byte) {
    if (!vocabulary->contains(std::string(SpellByte(static_cast<uint8_t>(byte))))) return false;
  }
  return true;
}

/// What changes how pieces merge and is not implemented.
Status RefuseUnknownModel(const json& model) {
  const auto refuse = [](const std::string& what) {
    return Unimplemented("tokenizer.json's model is not supported: " + what);
  };
  const std::string type = JsonString(model, "type");
  if (!type.empty() && type != "BPE") return refuse("type '" + type.substr(0, 64) + "' instead of 'BPE'");
  if (JsonBool(model, "byte_fallback", false)) return refuse("byte_fallback");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!JsonString(model, key).empty()) return refuse(key);
  }
  const json* dropout = JsonMember(model, "dropout");
  if (dropout != nullptr && !dropout->is_null() && *dropout != 0) return refuse("dropout");
  return Status::Ok();
}

Status ReadAddedToken(const json& token, bool nfc, VocabularyParts* parts) {
  const std::string content = JsonString(token, "content");
  const json* id = JsonMember(token, "id");
  if (content.empty() || id == nullptr) return Bad("an added token has no content or no id");
  for (const char* key : {"single_word", "lstrip", "rstrip"}) {
    if (JsonBool(token, key, false)) {
      return Unimplemented("tokenizer.json's added token '" + content.substr(0, 64) +
                           "' is not supported: " + key);
    }
  }
  const bool ascii = std::all_of(content.begin(), content.end(), [](char c) { return (c & 0x80) == 0; });
  if (nfc && !ascii && JsonBool(token, "normalized", true)) {
    return Unimplemented("tokenizer.json's added token '" + content.substr(0, 64) +
                         "' is not supported: normalized");
  }
  const bool special = JsonBool(token, "special", false);
  return PlaceToken(content, *id, special ? TokenType::kControl : TokenType::kUserDefined, parts);
}

std::optional<int64_t> FindId(const VocabularyParts& parts, const std::string& token) {
  const auto found = std::find(parts.tokens.begin(), parts.tokens.end(), token);
  if (token.empty() || found == parts.tokens.end()) return std::nullopt;
  return found - parts.tokens.begin();
}

/// A token of tokenizer_config.json: its text, or an object that holds it.
std::string ConfiguredToken(const json& config, const char* key) {
  const json* member = JsonMember(config, key);
  if (member != nullptr && member->is_object()) return JsonString(*member, "content");
  return JsonString(config, key);
}

Status AddEndTokens(const json& config, VocabularyParts* parts) {
  const json* ids = JsonMember(config, "eos_token_id");
  if (ids == nullptr || ids->is_null()) return Status::Ok();
  for (const json& value : ids->is_array() ? *ids : json::array({*ids})) {
    const std::optional<int64_t> id = JsonInteger(value);
    if (!id) return InvalidArgument("eos_token_id is not an integer");
    parts->end_token_ids.push_back(*id);
  }
  return Status::Ok();
}

Result<json> ParseCompanion(const char* name, const std::string& text) {
  if (text.empty()) return json::object();
  Result<json> parsed = engine::ParseJson(text);
  if (!parsed.ok()) return parsed.status().Annotate(name);
  return parsed;
}

std::string ChatTemplateOf(const TokenizerFolderTexts& texts, const json& config) {
  if (!texts.chat_template_jinja.empty()) return texts.chat_template_jinja;
  const json* templates = JsonMember(config, "chat_template");
  if (templates == nullptr || !templates->is_array()) return JsonString(config, "chat_template");
  for (const json& named : *templates) {
    if (JsonString(named, "name") == "default") return JsonString(named, "template");
  }
  return {};
}

Status ReadTokenizer(const json& tokenizer, VocabularyParts* parts) {
  const json* model = JsonMember(tokenizer, "model");
  if (model == nullptr) return Bad("there is no model");
  CONCLAVE_RETURN_IF_ERROR(RefuseUnknownModel(*model));
  CONCLAVE_RETURN_IF_ERROR(ReadVocabulary(*model, parts));
  CONCLAVE_RETURN_IF_ERROR(ReadMerges(*model, parts));
  if (!JsonString(*model, "unk_token").empty() && !HasEveryByte(*model)) {
    return Unimplemented(
        "tokenizer.json's model is not supported: unk_token in place of bytes that have no token");
  }
  const json none;
  const auto member = [&](const char* key) -> const json& {
    const json* found = JsonMember(tokenizer, key);
    return found == nullptr ? none : *found;
  };
  CONCLAVE_ASSIGN_OR_RETURN(parts->pre_tokenizer, NameJsonPreTokenizer(member("pre_tokenizer")));
  CONCLAVE_ASSIGN_OR_RETURN(const bool nfc, ReadJsonNormalizer(member("normalizer")));
  for (const json& token : member("added_tokens"))
    CONCLAVE_RETURN_IF_ERROR(ReadAddedToken(token, nfc, parts));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string begin, ReadJsonBeginToken(member("post_processor")));
  FillGaps(parts);
  parts->ignore_merges = JsonBool(*model, "ignore_merges", false);
  parts->normalize_nfc = nfc;
  parts->add_begin_token = !begin.empty();
  parts->begin_token_id = FindId(*parts, begin);
  if (!begin.empty() && !parts->begin_token_id)
    return Bad("the post_processor's token is not in the vocabulary");
  return Status::Ok();
}

}  // namespace

Result<TokenizerFiles> ReadTokenizerJson(const TokenizerFolderTexts& texts) {
  TokenizerFiles files;
  {
    CONCLAVE_ASSIGN_OR_RETURN(const json tokenizer, ParseCompanion("tokenizer.json", texts.tokenizer_json));
    CONCLAVE_RETURN_IF_ERROR(ReadTokenizer(tokenizer, &files.vocabulary));
  }
  CONCLAVE_ASSIGN_OR_RETURN(const json config,
                            ParseCompanion("tokenizer_config.json", texts.tokenizer_config_json));
  CONCLAVE_ASSIGN_OR_RETURN(const json generation,
                            ParseCompanion("generation_config.json", texts.generation_config_json));
  CONCLAVE_ASSIGN_OR_RETURN(const json model, ParseCompanion("config.json", texts.config_json));
  VocabularyParts& parts = files.vocabulary;
  if (!parts.begin_token_id) parts.begin_token_id = FindId(parts, ConfiguredToken(config, "bos_token"));
  const std::optional<int64_t> end = FindId(parts, ConfiguredToken(config, "eos_token"));
  if (end) parts.end_token_ids.push_back(*end);
  CONCLAVE_RETURN_IF_ERROR(AddEndTokens(generation, &parts));
  if (JsonMember(generation, "eos_token_id") == nullptr)
    CONCLAVE_RETURN_IF_ERROR(AddEndTokens(model, &parts));
  files.chat_template = ChatTemplateOf(texts, config);
  return files;
}

}  // namespace conclave::tokenizer
