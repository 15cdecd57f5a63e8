#pragma once

#include <string_view>

#include "base/result.h"
#include "services/tokenizer/chat_template/arguments.h"
#include "services/tokenizer/chat_template/budget.h"

namespace conclave::tokenizer {

/// `format % values` of Python. Errors: INVALID_ARGUMENT where Python raises; UNIMPLEMENTED for Markup, for
/// "*" and for what is named in the message.
Result<Value> FormatPercent(Budget& budget, const Value& format, const Value& values);

/// str.format(...). Errors as above.
Result<Value> FormatBraces(Budget& budget, const Value& self, const Arguments& arguments);

}  // namespace conclave::tokenizer
