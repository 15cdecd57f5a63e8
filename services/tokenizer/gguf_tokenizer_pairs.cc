#include "services/tokenizer/gguf_tokenizer_pairs.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "services/tokenizer/limits.h"
#include "services/tokenizer/model_tokenizer.h"
#include "services/tokenizer/pre_tokenizer.h"

namespace conclave::tokenizer {
namespace {

constexpr const char* kEndKeys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                    "tokenizer.ggml.eom_token_id"};

Status FillUp(int64_t rows, VocabularyParts* parts) {
  const auto count = static_cast<int64_t>(parts->tokens.size());
  if (count > rows) {
    return InvalidArgument("the tokenizer has " + std::to_string(count) + " tokens, but the model only " +
                           std::to_string(rows) + " embeddings");
  }
  if (rows > static_cast<int64_t>(kMaxVocabularyTokens)) {
    return InvalidArgument("the model has " + std::to_string(rows) + " embeddings; at most " +
                           std::to_string(kMaxVocabularyTokens) + " tokens are supported");
  }
  if (parts->types.empty())
    parts->types.assign(parts->tokens.size(), static_cast<int64_t>(TokenType::kNormal));
  for (int64_t id = count; id < rows; ++id) {
    parts->tokens.push_back("[UNUSED " + std::to_string(id) + "]");
    parts->types.push_back(static_cast<int64_t>(TokenType::kUnused));
  }
  return Status::Ok();
}

/// In a GGUF file the pre-tokenizer's name says more than how a text is split.
Status NameForGguf(VocabularyParts* parts) {
  CONCLAVE_ASSIGN_OR_RETURN(const PreTokenizerChoice choice, FindPreTokenizer(parts->pre_tokenizer));
  const bool ignore_merges = parts->ignore_merges.value_or(choice.ignore_merges);
  const bool normalize_nfc = parts->normalize_nfc.value_or(choice.normalize_nfc);
  const std::string_view name = PreTokenizerLike(parts->pre_tokenizer, ignore_merges, normalize_nfc);
  if (name.empty()) {
    return Unimplemented("a GGUF file has no name for the pre-tokenizer '" + parts->pre_tokenizer + "' with" +
                         (ignore_merges ? "" : "out") + " ignore_merges and with" +
                         (normalize_nfc ? "" : "out") + " NFC");
  }
  parts->pre_tokenizer = name;
  return Status::Ok();
}

Status AddEndTokens(const std::vector<int64_t>& declared, engine::GgufPairs* pairs) {
  std::vector<int64_t> ids;
  for (const int64_t id : declared) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  if (ids.size() > std::size(kEndKeys)) {
    return Unimplemented("the model has " + std::to_string(ids.size()) + " end tokens; a GGUF file names " +
                         std::to_string(std::size(kEndKeys)));
  }
  for (size_t i = 0; i < ids.size(); ++i) pairs->AddUint32(kEndKeys[i], static_cast<uint32_t>(ids[i]));
  return Status::Ok();
}

Result<engine::GgufPairs> PairsOf(const TokenizerFiles& files) {
  const VocabularyParts& parts = files.vocabulary;
  engine::GgufPairs pairs;
  pairs.AddText("tokenizer.ggml.model", "gpt2");
  pairs.AddText("tokenizer.ggml.pre", parts.pre_tokenizer);
  pairs.AddTexts("tokenizer.ggml.tokens", parts.tokens);
  pairs.AddInt32s("tokenizer.ggml.token_type", {parts.types.begin(), parts.types.end()});
  pairs.AddTexts("tokenizer.ggml.merges", parts.merges);
  if (parts.begin_token_id) {
    pairs.AddUint32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(*parts.begin_token_id));
  }
  CONCLAVE_RETURN_IF_ERROR(AddEndTokens(parts.end_token_ids, &pairs));
  if (parts.add_begin_token) pairs.AddBool("tokenizer.ggml.add_bos_token", *parts.add_begin_token);
  if (!files.chat_template.empty()) pairs.AddText("tokenizer.chat_template", files.chat_template);
  return pairs;
}

}  // namespace

Result<engine::GgufPairs> TokenizerAsGguf(TokenizerFiles files, int64_t rows) {
  CONCLAVE_RETURN_IF_ERROR(FillUp(rows, &files.vocabulary));
  CONCLAVE_RETURN_IF_ERROR(NameForGguf(&files.vocabulary));
  CONCLAVE_RETURN_IF_ERROR(ModelTokenizer::Create(files).status());
  return PairsOf(files);
}

}  // namespace conclave::tokenizer
