#pragma once

#include <string_view>

#include "services/tokenizer/chat_template/value.h"

namespace conclave::tokenizer {

/// Python's ==. Takes one from `work` for each pair of values looked at and one for each 256 bytes; gives up
/// with false when it is below zero, since lists that share parts can hold more pairs than atoms exist.
bool ValuesEqual(const Value& left, const Value& right, int64_t& work);

/// Numbers: below zero, zero or above zero as `left` is less than, equal to or greater than `right`; 2 when
/// one of them is not a number (NaN).
int CompareNumbers(const Value& left, const Value& right);

/// Levels of values that an object keeps alive without being cleared at the end of the rendering.
int ObjectDepth(const Object& object);

}  // namespace conclave::tokenizer
