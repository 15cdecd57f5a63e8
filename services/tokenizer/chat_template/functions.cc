#include "services/tokenizer/chat_template/functions.h"

#include <algorithm>

#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/to_text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

Result<Value> Range(Interpreter& interpreter, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("range", arguments, {"", "", ""}, 1));
  for (const auto& value : bound) {
    if (value && value->IsUndefined()) return UndefinedError(*value);
  }
  CONCLAVE_ASSIGN_OR_RETURN(int64_t start, IntegerArgument("range", bound[0], 0));
  CONCLAVE_ASSIGN_OR_RETURN(int64_t stop, IntegerArgument("range", bound[1], 0));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t step, IntegerArgument("range", bound[2], 1));
  if (!bound[1]) {
    stop = start;
    start = 0;
  }
  if (step == 0) return InvalidArgument("range() arg 3 must not be zero");
  Budget& budget = interpreter.budget();
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(sizeof(RangeObject)));
  auto range = std::make_shared<RangeObject>(start, stop, step);
  const int64_t limit = budget.limits().range_items;
  if (range->Size() > limit) return budget.Exhausted("range_items", limit);
  return Value::FromObject(std::move(range));
}

/// The key and value of one item of dict([...]).
Status AddPair(Budget& budget, const Value& item, Value::Entries& entries) {
  CONCLAVE_ASSIGN_OR_RETURN(auto pair, AllItems(budget, item));
  if (pair.size() != 2)
    return InvalidArgument("dict() needs pairs, got " + std::to_string(pair.size()) + " items");
  entries.emplace_back(std::move(pair[0]), std::move(pair[1]));
  return Status::Ok();
}

Result<Value> Dict(Interpreter& interpreter, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  if (arguments.positional.size() > 1) return InvalidArgument("dict() takes at most 1 argument");
  Value::Entries entries;
  if (!arguments.positional.empty() && arguments.positional[0].IsDict()) {
    entries = arguments.positional[0].AsDict().entries;
  } else if (!arguments.positional.empty()) {
    CONCLAVE_ASSIGN_OR_RETURN(auto items, AllItems(budget, arguments.positional[0]));
    for (const Value& item : items) CONCLAVE_RETURN_IF_ERROR(AddPair(budget, item, entries));
  }
  for (const auto& [name, value] : arguments.named) entries.emplace_back(Value::String(name), value);
  return budget.Dict(std::move(entries));
}

Result<Value> Namespace(Interpreter& interpreter, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(const Value attributes, Dict(interpreter, arguments));
  auto space = std::make_shared<NamespaceObject>();
  for (const auto& [key, value] : attributes.AsDict().entries) {
    if (!key.IsString()) return Unimplemented("a namespace with a key that is not a string is not supported");
    if (key.AsString().starts_with('_')) {
      return InvalidArgument("a namespace cannot have the attribute '" + std::string(key.AsString()) + "'");
    }
    space->Set(key.AsString(), value);
  }
  interpreter.Track(space);
  return Value::FromObject(std::move(space));
}

Result<Value> Cycler(Interpreter& interpreter, const Arguments& arguments) {
  if (!arguments.named.empty()) return InvalidArgument("cycler() takes no named arguments");
  if (arguments.positional.empty()) return InvalidArgument("at least one item has to be provided");
  CONCLAVE_ASSIGN_OR_RETURN(const Value items, interpreter.budget().List(arguments.positional));
  return Value::FromObject(std::make_shared<CyclerObject>(arguments.positional, items.Depth()));
}

Result<Value> Joiner(Interpreter& interpreter, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("joiner", arguments, {"sep"}));
  const Value separator = bound[0].value_or(Value::String(", "));
  if (!separator.IsString())
    return Unimplemented("a joiner whose separator is not a string is not supported");
  CONCLAVE_RETURN_IF_ERROR(interpreter.budget().Bytes(sizeof(JoinerObject)));
  return Value::FromObject(std::make_shared<JoinerObject>(separator));
}

Result<Value> RaiseException(Interpreter& interpreter, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("raise_exception", arguments, {"message"}, 1));
  CONCLAVE_ASSIGN_OR_RETURN(std::string message, ToText(interpreter.budget(), *bound[0]));
  return interpreter.Raise(std::move(message));
}

Result<Value> StrftimeNow(Interpreter& interpreter, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("strftime_now", arguments, {"format"}, 1));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view format, TextArgument("strftime_now", bound[0], ""));
  constexpr size_t kFormatBytes = 1024;
  if (format.size() > kFormatBytes)
    return InvalidArgument("strftime_now() takes a format of at most 1024 bytes");
  // A mark in front tells an empty result from one that did not fit.
  const std::string marked = "x" + std::string(format.substr(0, format.find('\0')));
  std::string text(64 * kFormatBytes, '\0');
  text.resize(std::strftime(text.data(), text.size(), marked.c_str(), &interpreter.now()));
  if (text.empty()) return InvalidArgument("strftime_now() cannot write this format");
  return interpreter.budget().String(text.substr(1));
}

}  // namespace

std::map<std::string, Value, std::less<>> GlobalFunctions() {
  const auto function = [](FunctionId id) { return Value::FromObject(std::make_shared<FunctionObject>(id)); };
  return {{"range", function(FunctionId::kRange)},
          {"dict", function(FunctionId::kDict)},
          {"namespace", function(FunctionId::kNamespace)},
          {"cycler", function(FunctionId::kCycler)},
          {"joiner", function(FunctionId::kJoiner)},
          {"lipsum", function(FunctionId::kLipsum)},
          {"raise_exception", function(FunctionId::kRaiseException)},
          {"strftime_now", function(FunctionId::kStrftimeNow)}};
}

Result<Value> CallFunction(Interpreter& interpreter, FunctionId id, const Arguments& arguments) {
  switch (id) {
    case FunctionId::kRange: return Range(interpreter, arguments);
    case FunctionId::kDict: return Dict(interpreter, arguments);
    case FunctionId::kNamespace: return Namespace(interpreter, arguments);
    case FunctionId::kCycler: return Cycler(interpreter, arguments);
    case FunctionId::kJoiner: return Joiner(interpreter, arguments);
    case FunctionId::kLipsum: return Unimplemented("the function 'lipsum' is not supported");
    case FunctionId::kRaiseException: return RaiseException(interpreter, arguments);
    case FunctionId::kStrftimeNow: return StrftimeNow(interpreter, arguments);
  }
  return Internal("unknown function");
}

Result<Value> CallJoiner(JoinerObject& joiner, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("joiner", arguments, {}).status());
  return std::exchange(joiner.used, true) ? joiner.separator : Value::String("");
}

}  // namespace conclave::tokenizer
