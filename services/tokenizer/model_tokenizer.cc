#include "services/tokenizer/model_tokenizer.h"

#include <ctime>

#include "services/tokenizer/chat_template/chat_template.h"
#include "services/tokenizer/content_guard.h"
#include "services/tokenizer/limits.h"

namespace conclave::tokenizer {

ModelTokenizer::~ModelTokenizer() = default;

Result<std::shared_ptr<const ModelTokenizer>> ModelTokenizer::Create(TokenizerFiles files) {
  std::shared_ptr<ModelTokenizer> tokenizer(new ModelTokenizer());
  const std::vector<int64_t>& ends = files.vocabulary.end_token_ids;
  if (!ends.empty()) tokenizer->template_end_token_id_ = static_cast<int32_t>(ends.front());
  CONCLAVE_ASSIGN_OR_RETURN(tokenizer->vocabulary_, Vocabulary::Create(std::move(files.vocabulary)));
  CONCLAVE_ASSIGN_OR_RETURN(tokenizer->encoder_, Encoder::Create(tokenizer->vocabulary_));
  if (files.chat_template.empty()) {
    tokenizer->chat_template_status_ =
        FailedPrecondition("the model has no chat template; send plain prompts instead of messages");
    return std::shared_ptr<const ModelTokenizer>(std::move(tokenizer));
  }
  auto compiled = ChatTemplate::Compile(std::move(files.chat_template));
  if (compiled.ok()) {
    tokenizer->chat_template_ = std::move(compiled).value();
  } else {
    tokenizer->chat_template_status_ =
        FailedPrecondition("the model's chat template cannot be used: " + compiled.status().message());
  }
  return std::shared_ptr<const ModelTokenizer>(std::move(tokenizer));
}

Result<std::string> ModelTokenizer::Decode(std::span<const int32_t> token_ids, bool keep_special) const {
  Detokenizer detokenizer = NewDetokenizer();
  CONCLAVE_ASSIGN_OR_RETURN(const std::string text, detokenizer.Append(token_ids, keep_special));
  return text + detokenizer.Finish();
}

std::optional<std::string> ModelTokenizer::SpecialText(std::optional<int32_t> id) const {
  return id ? std::optional(vocabulary_->Spelling(*id)) : std::nullopt;
}

Result<RenderedChat> ModelTokenizer::RenderChat(const std::vector<ChatTurn>& turns,
                                                bool add_generation_prompt) const {
  if (chat_template_ == nullptr) return chat_template_status_;
  if (turns.empty()) return InvalidArgument("a chat needs at least one message");
  if (turns.size() > kMaxChatMessages) {
    return InvalidArgument("a chat may have at most " + std::to_string(kMaxChatMessages) + " messages");
  }
  std::vector<Value> messages;
  messages.reserve(turns.size());
  for (const ChatTurn& turn : turns) {
    messages.push_back(
        ChatMessageValue(turn.role, GuardContent(turn.content, encoder_->special_tokens(), *vocabulary_)));
  }
  TemplateInput input;
  input.messages = Value::List(std::move(messages));
  input.add_generation_prompt = add_generation_prompt;
  input.bos_token = SpecialText(vocabulary_->begin_token_id());
  input.eos_token = SpecialText(template_end_token_id_);
  const std::time_t now = std::time(nullptr);
  localtime_r(&now, &input.now);
  RenderedChat rendered;
  CONCLAVE_ASSIGN_OR_RETURN(const std::string guarded, chat_template_->Render(input));
  CONCLAVE_ASSIGN_OR_RETURN(rendered.token_ids, Encode(guarded, {.parse_special = true, .guarded = true}));
  rendered.text = RemoveGuards(guarded);
  return rendered;
}

TokenizerDescription ModelTokenizer::Describe() const {
  return {.kind = "byte-level BPE",
          .vocabulary_size = static_cast<uint32_t>(vocabulary_->size()),
          .end_token_ids = vocabulary_->end_token_ids(),
          .begin_token_id = vocabulary_->begin_token_id(),
          .has_chat_template = chat_template_ != nullptr};
}

Result<std::shared_ptr<const ModelTokenizer>> LoadModelTokenizer(const std::string& model_path) {
  CONCLAVE_ASSIGN_OR_RETURN(TokenizerFiles files, ReadTokenizerFiles(model_path));
  Result<std::shared_ptr<const ModelTokenizer>> tokenizer = ModelTokenizer::Create(std::move(files));
  if (!tokenizer.ok()) return tokenizer.status().Annotate(model_path);
  return tokenizer;
}

}  // namespace conclave::tokenizer
