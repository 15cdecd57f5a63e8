#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "services/tokenizer/chat_template/limits.h"
#include "services/tokenizer/chat_template/value.h"

namespace conclave::tokenizer {

struct TemplateProgram;

/// What a chat template is rendered with: the variables that Hugging Face's apply_chat_template passes.
struct TemplateInput {
  /// A list of dicts, each with "role" and usually "content" (ChatMessageValue makes one); further keys
  /// such as "tool_calls" and contents that are lists of parts pass through unchanged.
  Value messages = Value::List({});
  /// A list of tool descriptions, or None.
  Value tools;
  bool add_generation_prompt = false;
  /// Undefined in the template when absent.
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  /// Further variables by name; they replace the ones above where the names are equal.
  std::vector<std::pair<std::string, Value>> variables;
  /// The local time that strftime_now() shows.
  std::tm now = {};
};

/// A chat template of a model, compiled: a subset of Jinja that renders exactly as jinja2's
/// ImmutableSandboxedEnvironment does with the settings of Hugging Face's transformers (trim_blocks,
/// lstrip_blocks, loop controls, `generation`, tojson without escapes, raise_exception, strftime_now).
/// Immutable: any thread may render, many at once.
class ChatTemplate {
 public:
  /// INVALID_ARGUMENT: the source is not a template; UNIMPLEMENTED: it uses a construct that is not
  /// supported; RESOURCE_EXHAUSTED: it is beyond `limits`. The message names the construct and its line.
  static Result<std::shared_ptr<const ChatTemplate>> Compile(
      std::string_view source, const ChatTemplateLimits& limits = kChatTemplateLimits);

  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  /// The rendered text. INVALID_ARGUMENT: the template refused the conversation (its raise_exception's
  /// own text), or failed on it (with the line); UNIMPLEMENTED and RESOURCE_EXHAUSTED as in Compile.
  Result<std::string> Render(const TemplateInput& input) const;

 private:
  ChatTemplate(std::unique_ptr<const TemplateProgram> program, const ChatTemplateLimits& limits);

  std::unique_ptr<const TemplateProgram> program_;
  ChatTemplateLimits limits_;
};

}  // namespace conclave::tokenizer
