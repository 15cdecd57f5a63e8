#pragma once

#include <string>

#include "base/result.h"
#include "services/tokenizer/chat_template/budget.h"

namespace conclave::tokenizer {

/// Python's repr(float): the fewest digits that read back as the same number.
std::string FloatText(double value);

/// Python's str(value), which is what {{ value }} prints. Errors: UNIMPLEMENTED for functions, generators
/// and other objects that Python prints with their address in memory.
Result<std::string> ToText(Budget& budget, const Value& value);

/// Python's repr(value), errors as in ToText.
Result<std::string> ToRepr(Budget& budget, const Value& value);

/// soft_str(value): the value itself when it is a string, Markup too, or else str(value).
Result<Value> ToStringValue(Budget& budget, const Value& value);

}  // namespace conclave::tokenizer
