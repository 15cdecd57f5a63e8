#include "services/tokenizer/chat_template/methods.h"

#include <algorithm>

#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/loop_object.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

using Names = std::initializer_list<std::string_view>;

bool IsOneOf(std::string_view name, Names names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

MethodSupport Classify(std::string_view name, Names supported, Names unsafe, Names unsupported) {
  if (IsOneOf(name, supported)) return MethodSupport::kSupported;
  if (IsOneOf(name, unsafe)) return MethodSupport::kUnsafe;
  return IsOneOf(name, unsupported) ? MethodSupport::kUnsupported : MethodSupport::kNone;
}

MethodSupport ClassifyObject(const Object& object, std::string_view name) {
  switch (object.kind()) {
    case ObjectKind::kLoop: return Classify(name, {"cycle", "changed"}, {}, {});
    case ObjectKind::kCycler: return Classify(name, {"next", "reset"}, {}, {"items", "pos"});
    case ObjectKind::kJoiner: return Classify(name, {}, {}, {"sep", "used"});
    case ObjectKind::kRange: return Classify(name, {}, {}, {"start", "stop", "step", "count", "index"});
    case ObjectKind::kDictView: return Classify(name, {}, {}, {"mapping", "isdisjoint"});
    case ObjectKind::kIterator:
      return Classify(name, {}, {"gi_frame", "gi_code"},
                      {"send", "throw", "close", "gi_running", "gi_yieldfrom", "gi_suspended"});
    case ObjectKind::kMacro:
      return Classify(name, {}, {},
                      {"arguments", "caller", "catch_kwargs", "catch_varargs", "explicit_caller"});
    case ObjectKind::kFunction: return Classify(name, {}, {}, {"fromkeys"});
    default: return MethodSupport::kNone;
  }
}

Result<Value> ListIndex(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("index", arguments, {"", "", ""}, 1));
  const auto size = static_cast<int64_t>(self.Items().size());
  CONCLAVE_ASSIGN_OR_RETURN(int64_t start, IntegerArgument("index", bound[1], 0));
  CONCLAVE_ASSIGN_OR_RETURN(int64_t stop, IntegerArgument("index", bound[2], size));
  if (start < 0) start = std::max<int64_t>(start + size, 0);
  if (stop < 0) stop += size;
  for (int64_t i = start; i < std::min(stop, size); ++i) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool equal,
                              budget.Equal(self.Items()[static_cast<size_t>(i)], *bound[0]));
    if (equal) return Value::Int(i);
  }
  return InvalidArgument("the value is not in the list");
}

Result<Value> ListMethod(Budget& budget, const Value& self, std::string_view name,
                         const Arguments& arguments) {
  if (name == "index") return ListIndex(budget, self, arguments);
  if (name == "copy") {
    CONCLAVE_RETURN_IF_ERROR(Bind(name, arguments, {}).status());
    return budget.List(self.Items());
  }
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind(name, arguments, {""}, 1));
  int64_t count = 0;
  for (const Value& item : self.Items()) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool equal, budget.Equal(item, *bound[0]));
    count += equal;
  }
  return Value::Int(count);
}

Result<Value> DictMethod(Budget& budget, const Value& self, std::string_view name,
                         const Arguments& arguments) {
  if (name == "get") {
    CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("get", arguments, {"", ""}, 1));
    const Value& key = *bound[0];
    if (!IsHashable(key)) return InvalidArgument("unhashable type: '" + TypeName(key) + "'");
    const Value* found = IsDictKey(key) ? self.AsDict().Find(key) : nullptr;
    return found != nullptr ? *found : bound[1].value_or(Value());
  }
  CONCLAVE_RETURN_IF_ERROR(Bind(name, arguments, {}).status());
  if (name == "copy") return budget.Dict(self.AsDict().entries);
  CONCLAVE_RETURN_IF_ERROR(budget.CheckDepth(self.Depth() + 1));
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(sizeof(DictViewObject)));
  const DictPart part = name == "keys"     ? DictPart::kKeys
                        : name == "values" ? DictPart::kValues
                                           : DictPart::kItems;
  return Value::FromObject(std::make_shared<DictViewObject>(self, part));
}

Result<Value> CyclerMethod(CyclerObject& cycler, std::string_view name, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind(name, arguments, {}).status());
  if (name == "reset") {
    cycler.position = 0;
    return Value();
  }
  const Value current = cycler.items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items.size();
  return current;
}

}  // namespace

MethodSupport FindMethod(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case ValueKind::kString:
      if (FindStringMethod(name) != nullptr) return MethodSupport::kSupported;
      return Classify(name, {}, {},
                      {"encode", "expandtabs", "format_map", "isidentifier", "isprintable", "istitle",
                       "maketrans", "translate", "escape", "striptags", "unescape"});
    case ValueKind::kList:
      if (object.IsTuple()) return Classify(name, {"index", "count"}, {}, {});
      return Classify(name, {"index", "count", "copy"},
                      {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"}, {});
    case ValueKind::kDict:
      return Classify(name, {"get", "items", "keys", "values", "copy"},
                      {"clear", "pop", "popitem", "setdefault", "update"}, {"fromkeys"});
    case ValueKind::kBool:
    case ValueKind::kInt:
      return Classify(name, {}, {},
                      {"as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
                       "from_bytes", "imag", "numerator", "real", "to_bytes"});
    case ValueKind::kFloat:
      return Classify(name, {}, {},
                      {"as_integer_ratio", "conjugate", "fromhex", "hex", "imag", "is_integer", "real"});
    case ValueKind::kObject: return ClassifyObject(*object.AsObject(), name);
    default: return MethodSupport::kNone;
  }
}

Result<Value> CallMethod(Interpreter& interpreter, const MethodObject& method, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  const Value& self = method.self();
  if (self.IsString()) return FindStringMethod(method.name())(budget, self, arguments);
  if (self.IsSequence()) return ListMethod(budget, self, method.name(), arguments);
  if (self.IsDict()) return DictMethod(budget, self, method.name(), arguments);
  Object& object = *self.AsObject();
  if (object.kind() == ObjectKind::kCycler) {
    return CyclerMethod(static_cast<CyclerObject&>(object), method.name(), arguments);
  }
  auto& loop = static_cast<LoopObject&>(object);
  if (method.name() == "cycle") return loop.Cycle(arguments);
  interpreter.Track(self.AsObject());
  return loop.Changed(arguments);
}

}  // namespace conclave::tokenizer
