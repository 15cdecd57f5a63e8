#pragma once

#include <string_view>

#include "base/result.h"
#include "services/tokenizer/chat_template/arguments.h"
#include "services/tokenizer/chat_template/object.h"

namespace conclave::tokenizer {

class Interpreter;
class Budget;

enum class MethodSupport {
  /// Python has no such attribute.
  kNone,
  kSupported,
  /// It would change the object, which the sandbox forbids.
  kUnsafe,
  /// Python has it, this does not.
  kUnsupported
};

/// What `object.name` is, for methods.
MethodSupport FindMethod(const Value& object, std::string_view name);

/// Calls a method that FindMethod supports.
Result<Value> CallMethod(Interpreter& interpreter, const MethodObject& method, const Arguments& arguments);

/// A method of a string, by its name; nullptr when there is none.
using StringMethod = Result<Value> (*)(Budget& budget, const Value& self, const Arguments& arguments);
StringMethod FindStringMethod(std::string_view name);

}  // namespace conclave::tokenizer
