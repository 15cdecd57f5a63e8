#include "services/tokenizer/vocabulary_gguf.h"

namespace conclave::tokenizer {
namespace {

using engine::GgufMetadata;

Status WrongKind(std::string_view key, const char* expected) {
  return InvalidArgument("the key '" + std::string(key) + "' is not " + expected);
}

bool Has(const GgufMetadata& metadata, std::string_view key) { return metadata.values().contains(key); }

Status ReadModel(const GgufMetadata& metadata) {
  constexpr std::string_view kKey = "tokenizer.ggml.model";
  if (!Has(metadata, kKey))
    return FailedPrecondition("the model file holds no tokenizer (no '" + std::string(kKey) + "')");
  const std::string* model = metadata.String(kKey);
  if (model == nullptr) return WrongKind(kKey, "a string");
  if (*model != "gpt2") {
    return Unimplemented("the tokenizer '" + model->substr(0, 64) +
                         "' is not supported; byte-level BPE ('gpt2') is");
  }
  return Status::Ok();
}

Status ReadPreTokenizer(const GgufMetadata& metadata, VocabularyParts* parts) {
  constexpr std::string_view kKey = "tokenizer.ggml.pre";
  if (!Has(metadata, kKey)) {
    return Unimplemented("the model file names no pre-tokenizer ('" + std::string(kKey) +
                         "'); convert it again with a current converter");
  }
  const std::string* name = metadata.String(kKey);
  if (name == nullptr) return WrongKind(kKey, "a string");
  parts->pre_tokenizer = *name;
  return Status::Ok();
}

Status ReadStrings(const GgufMetadata& metadata, std::string_view key, std::vector<std::string>* values) {
  const std::vector<std::string>* found = metadata.Strings(key);
  if (found == nullptr) return WrongKind(key, "there as a list of strings");
  *values = *found;
  return Status::Ok();
}

Status ReadId(const GgufMetadata& metadata, std::string_view key, std::optional<int64_t>* id) {
  if (!Has(metadata, key)) return Status::Ok();
  *id = metadata.Int(key);
  return *id ? Status::Ok() : WrongKind(key, "an integer");
}

Status ReadEndTokens(const GgufMetadata& metadata, VocabularyParts* parts) {
  for (const char* key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    std::optional<int64_t> id;
    CONCLAVE_RETURN_IF_ERROR(ReadId(metadata, key, &id));
    if (id) parts->end_token_ids.push_back(*id);
  }
  return Status::Ok();
}

Status ReadTypes(const GgufMetadata& metadata, VocabularyParts* parts) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  if (!Has(metadata, kKey)) return Status::Ok();
  const std::vector<int64_t>* types = metadata.Ints(kKey);
  if (types == nullptr) return WrongKind(kKey, "a list of integers");
  parts->types = *types;
  return Status::Ok();
}

Status ReadAddBegin(const GgufMetadata& metadata, VocabularyParts* parts) {
  constexpr std::string_view kKey = "tokenizer.ggml.add_bos_token";
  if (!Has(metadata, kKey)) return Status::Ok();
  parts->add_begin_token = metadata.Bool(kKey);
  return parts->add_begin_token ? Status::Ok() : WrongKind(kKey, "a boolean");
}

Status ReadChatTemplate(const GgufMetadata& metadata, std::string* chat_template) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  if (!Has(metadata, kKey)) return Status::Ok();
  const std::string* text = metadata.String(kKey);
  if (text == nullptr) return WrongKind(kKey, "a string");
  *chat_template = *text;
  return Status::Ok();
}

}  // namespace

Result<TokenizerFiles> ReadGgufTokenizer(const GgufMetadata& metadata) {
  TokenizerFiles files;
  VocabularyParts& parts = files.vocabulary;
  CONCLAVE_RETURN_IF_ERROR(ReadModel(metadata));
  CONCLAVE_RETURN_IF_ERROR(ReadPreTokenizer(metadata, &parts));
  CONCLAVE_RETURN_IF_ERROR(ReadStrings(metadata, "tokenizer.ggml.tokens", &parts.tokens));
  CONCLAVE_RETURN_IF_ERROR(ReadStrings(metadata, "tokenizer.ggml.merges", &parts.merges));
  CONCLAVE_RETURN_IF_ERROR(ReadTypes(metadata, &parts));
  CONCLAVE_RETURN_IF_ERROR(ReadId(metadata, "tokenizer.ggml.bos_token_id", &parts.begin_token_id));
  CONCLAVE_RETURN_IF_ERROR(ReadEndTokens(metadata, &parts));
  CONCLAVE_RETURN_IF_ERROR(ReadAddBegin(metadata, &parts));
  CONCLAVE_RETURN_IF_ERROR(ReadChatTemplate(metadata, &files.chat_template));
  return files;
}

}  // namespace conclave::tokenizer
