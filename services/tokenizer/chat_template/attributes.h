#pragma once

#include <string_view>

#include "base/result.h"
#include "services/tokenizer/chat_template/budget.h"

namespace conclave::tokenizer {

/// object.name as jinja2's immutable sandbox finds it: an attribute, or else the item of that name; undefined
/// when there is neither, or when the attribute would change the object. Errors: INVALID_ARGUMENT for an
/// undefined object; UNIMPLEMENTED for a method of Python that is not supported, by its name.
Result<Value> GetAttribute(Budget& budget, const Value& object, std::string_view name);

/// object[key]: the item, or else the attribute of that name. Errors as above.
Result<Value> GetItem(Budget& budget, const Value& object, const Value& key);

}  // namespace conclave::tokenizer
