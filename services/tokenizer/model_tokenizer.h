#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/detokenizer.h"
#include "base/result.h"
#include "services/tokenizer/encoder.h"
#include "services/tokenizer/model_files.h"

namespace conclave::tokenizer {

class ChatTemplate;

/// One turn of a chat: "system", "user", "assistant" or "tool", and what was said.
struct ChatTurn {
  std::string role;
  std::string content;
};

struct RenderedChat {
  std::string text;
  std::vector<int32_t> token_ids;
};

/// What a vocabulary is (proto: TokenizerServiceDescribeResponse).
struct TokenizerDescription {
  std::string kind;
  uint32_t vocabulary_size = 0;
  std::vector<int32_t> end_token_ids;
  std::optional<int32_t> begin_token_id;
  bool has_chat_template = false;
};

/// A model's tokenizer with its chat template. Immutable; any thread may call.
class ModelTokenizer {
 public:
  /// Errors: those of Vocabulary::Create and Encoder::Create. A chat template that does not compile is no
  /// error here: RenderChat reports it, everything else works.
  static Result<std::shared_ptr<const ModelTokenizer>> Create(TokenizerFiles files);
  ~ModelTokenizer();

  const Vocabulary& vocabulary() const { return *vocabulary_; }

  /// See Encoder::Encode.
  Result<std::vector<int32_t>> Encode(std::string_view text, const EncodeOptions& options) const {
    return encoder_->Encode(text, options);
  }

  /// For one sequence of tokens.
  Detokenizer NewDetokenizer() const { return Detokenizer(vocabulary_->table()); }

  /// The text of whole sequences. Errors: those of Detokenizer::Append.
  Result<std::string> Decode(std::span<const int32_t> token_ids, bool keep_special) const;

  /// Renders with the model's template and encodes the result. The template's special tokens stand for
  /// themselves; what looks like one inside a message is text (content_guard.h). Errors: FAILED_PRECONDITION
  /// (the model has no chat template, or one that is not supported), INVALID_ARGUMENT (no or too many turns,
  /// the template refused them), RESOURCE_EXHAUSTED (the template's step limit).
  Result<RenderedChat> RenderChat(const std::vector<ChatTurn>& turns, bool add_generation_prompt) const;

  TokenizerDescription Describe() const;

 private:
  ModelTokenizer() = default;
  std::optional<std::string> SpecialText(std::optional<int32_t> id) const;

  std::shared_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const Encoder> encoder_;
  std::shared_ptr<const ChatTemplate> chat_template_;  // nullptr: chat_template_status_ says why.
  Status chat_template_status_;
  std::optional<int32_t> template_end_token_id_;
};

/// Reads the tokenizer of a .gguf file or of a model folder. Takes well below 100 ms for 50,000 tokens.
/// Errors: those of ReadTokenizerFiles and ModelTokenizer::Create.
Result<std::shared_ptr<const ModelTokenizer>> LoadModelTokenizer(const std::string& model_path);

}  // namespace conclave::tokenizer
