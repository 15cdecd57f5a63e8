#pragma once

#include <string>

#include "base/status.h"
#include "services/tokenizer/chat_template/value.h"

namespace conclave::tokenizer {

/// The name of the value's type in Python, for messages.
std::string TypeName(const Value& value);

/// What jinja2 says when an undefined value is used: "'name' is undefined" and the like.
Status UndefinedError(const Value& undefined);

/// An undefined value for a variable `name`, for something missing in `owner`, or with a message of its own.
Value UndefinedVariable(std::string name);
Value UndefinedItem(const Value& owner, Value name);
Value UndefinedBecause(std::string hint);

/// Python's bool(value).
bool IsTrue(const Value& value);

/// Whether Python can take the value as a key; more than IsDictKey, but no dict here has such keys.
bool IsHashable(const Value& value);

/// Python's len(value), or a negative number for a value that has none.
int64_t LengthOf(const Value& value);

}  // namespace conclave::tokenizer
