#pragma once

#include <vector>

#include "base/result.h"
#include "services/tokenizer/chat_template/ast.h"
#include "services/tokenizer/chat_template/budget.h"

namespace conclave::tokenizer {

/// Python's arithmetic: + - * / // % **. Errors: INVALID_ARGUMENT where Python raises; UNIMPLEMENTED for
/// an integer beyond 64 bits.
Result<Value> Calculate(Budget& budget, Operator op, const Value& left, const Value& right);

/// The error for an integer that int64_t does not hold.
Status TooLarge();

/// -value and +value.
Result<Value> Negate(const Value& value);
Result<Value> Plus(const Value& value);

/// Python's left < right, for numbers, strings, and lists or tuples of these.
Result<bool> IsLess(Budget& budget, const Value& left, const Value& right);

/// == != < <= > >=. `in` is Contains in iteration.h.
Result<bool> CompareValues(Budget& budget, Operator op, const Value& left, const Value& right);

/// The positions of `keys` in ascending (or descending) order; equal ones keep their order.
Result<std::vector<size_t>> SortedOrder(Budget& budget, const std::vector<Value>& keys, bool reverse);

}  // namespace conclave::tokenizer
