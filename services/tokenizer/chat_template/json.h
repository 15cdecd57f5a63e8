#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "services/tokenizer/chat_template/budget.h"

namespace conclave::tokenizer {

/// How Python's json.dumps is asked to write.
struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  /// What one level is indented by; without it everything is on one line.
  std::optional<std::string> indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

/// json.dumps(value). Errors: INVALID_ARGUMENT for a value that JSON cannot hold.
Result<std::string> WriteJson(Budget& budget, const Value& value, const JsonStyle& style);

/// The value of a JSON text, as Python's json.loads makes it; for tool descriptions and calls that arrive as
/// text. Errors: INVALID_ARGUMENT with the byte offset; RESOURCE_EXHAUSTED for more than
/// kChatTemplateLimits.value_depth levels.
Result<Value> ReadJson(std::string_view text);

}  // namespace conclave::tokenizer
