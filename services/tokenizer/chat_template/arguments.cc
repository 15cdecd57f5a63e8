#include "services/tokenizer/chat_template/arguments.h"

#include <algorithm>

#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {

Result<BoundArguments> Bind(std::string_view callee, const Arguments& arguments,
                            std::initializer_list<std::string_view> names, size_t required) {
  const std::string who = std::string(callee) + "()";
  if (arguments.positional.size() > names.size()) {
    return InvalidArgument(who + " takes at most " + std::to_string(names.size()) + " arguments, got " +
                           std::to_string(arguments.positional.size()));
  }
  BoundArguments bound(names.size());
  for (size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto* found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) return InvalidArgument(who + " takes no argument '" + name + "'");
    std::optional<Value>& slot = bound[static_cast<size_t>(found - names.begin())];
    if (slot) return InvalidArgument(who + " got the argument '" + name + "' twice");
    slot = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!bound[i]) return InvalidArgument(who + " needs at least " + std::to_string(required) + " arguments");
  }
  return bound;
}

Result<int64_t> IntegerArgument(std::string_view callee, const std::optional<Value>& value,
                                int64_t fallback) {
  if (!value) return fallback;
  if (value->IsIntegral()) return value->AsInt();
  return InvalidArgument(std::string(callee) + "() needs an integer, not " + TypeName(*value));
}

Result<std::string_view> TextArgument(std::string_view callee, const std::optional<Value>& value,
                                      std::string_view fallback) {
  if (!value) return fallback;
  if (value->IsString()) return value->AsString();
  return InvalidArgument(std::string(callee) + "() needs a string, not " + TypeName(*value));
}

}  // namespace conclave::tokenizer
