#include "services/tokenizer/chat_template/filters.h"

#include <algorithm>

#include "services/tokenizer/chat_template/attributes.h"
#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/literal.h"
#include "services/tokenizer/chat_template/text.h"

namespace conclave::tokenizer {
namespace {

constexpr std::string_view kUnsupportedFilters[] = {
    "attr", "filesizeformat", "pprint", "random", "striptags", "urlencode", "urlize", "wordwrap", "xmlattr"};

bool IsNumberPart(std::string_view part) {
  return !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Result<Value> PathPart(std::string_view part) {
  if (!IsNumberPart(part)) return Value::String(std::string(part));
  bool overflow = false;
  const auto index = ParseInteger(part, 10, overflow);
  return index ? Result<Value>(Value::Int(*index))
               : Unimplemented("an integer beyond 64 bits is not supported");
}

}  // namespace

FilterFunction FindFilter(std::string_view name) {
  for (const FilterTable* table :
       {&TextFilters(), &NumberFilters(), &SequenceFilters(), &SelectionFilters(), &OrderFilters()}) {
    const auto found = table->find(name);
    if (found != table->end()) return found->second;
  }
  return nullptr;
}

bool IsJinjaFilter(std::string_view name) {
  return FindFilter(name) != nullptr ||
         std::find(std::begin(kUnsupportedFilters), std::end(kUnsupportedFilters), name) !=
             std::end(kUnsupportedFilters);
}

Result<Value> Interpreter::ApplyFilter(std::string_view name, const Value& input,
                                       const Arguments& arguments) {
  const FilterFunction filter = FindFilter(name);
  if (filter == nullptr) return Unimplemented("the filter '" + std::string(name) + "' is not supported");
  CONCLAVE_RETURN_IF_ERROR(budget_.Step());
  return filter(*this, input, arguments);
}

Result<Value> LookUpPath(Interpreter& interpreter, const Value& item, const Value& attribute, bool lower,
                         const Value* fallback) {
  Budget& budget = interpreter.budget();
  Value value = item;
  if (attribute.IsString()) {
    std::string_view path = attribute.AsString();
    for (bool more = true; more;) {
      const size_t dot = std::min(path.find('.'), path.size());
      more = dot < path.size();
      CONCLAVE_RETURN_IF_ERROR(budget.Step());
      CONCLAVE_ASSIGN_OR_RETURN(const Value part, PathPart(path.substr(0, dot)));
      CONCLAVE_ASSIGN_OR_RETURN(value, GetItem(budget, value, part));
      if (fallback != nullptr && value.IsUndefined()) value = *fallback;
      path = path.substr(std::min(dot + 1, path.size()));
    }
  } else if (!attribute.IsNone()) {
    CONCLAVE_ASSIGN_OR_RETURN(value, GetItem(budget, value, attribute));
    if (fallback != nullptr && value.IsUndefined()) value = *fallback;
  }
  if (!lower || !value.IsString()) return value;
  return budget.String(ToLower(value.AsString()));
}

}  // namespace conclave::tokenizer
