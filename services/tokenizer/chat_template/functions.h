#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "services/tokenizer/chat_template/arguments.h"
#include "services/tokenizer/chat_template/object.h"

namespace conclave::tokenizer {

class Interpreter;

/// The functions that every template sees: range, dict, namespace, cycler, joiner, raise_exception and
/// strftime_now. A variable of the same name hides one.
std::map<std::string, Value, std::less<>> GlobalFunctions();

Result<Value> CallFunction(Interpreter& interpreter, FunctionId id, const Arguments& arguments);
Result<Value> CallJoiner(JoinerObject& joiner, const Arguments& arguments);

}  // namespace conclave::tokenizer
