#pragma once

#include "base/result.h"
#include "services/tokenizer/chat_template/budget.h"

namespace conclave::tokenizer {

/// object[start:stop:step] as in Python; None for a part that is left out. For text, lists and
/// tuples. Errors: INVALID_ARGUMENT where Python raises, UNIMPLEMENTED for a range.
Result<Value> GetSlice(Budget& budget, const Value& object, const Value& start, const Value& stop,
                       const Value& step);

}  // namespace conclave::tokenizer
