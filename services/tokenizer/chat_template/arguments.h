#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "services/tokenizer/chat_template/value.h"

namespace conclave::tokenizer {

/// The values given to a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// The values of the parameters of a built-in function, in the order of their names.
using BoundArguments = std::vector<std::optional<Value>>;

/// Sorts `arguments` to the parameters `names`, of which the first `required` must be there. A parameter
/// with an empty name is given by position only. INVALID_ARGUMENT where Python raises TypeError.
Result<BoundArguments> Bind(std::string_view callee, const Arguments& arguments,
                            std::initializer_list<std::string_view> names, size_t required = 0);

/// A parameter's value as Python's index or str; `fallback` when absent.
Result<int64_t> IntegerArgument(std::string_view callee, const std::optional<Value>& value, int64_t fallback);
Result<std::string_view> TextArgument(std::string_view callee, const std::optional<Value>& value,
                                      std::string_view fallback);

}  // namespace conclave::tokenizer
