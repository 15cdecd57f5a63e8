#include "services/tokenizer/chat_template/filters.h"
#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/operators.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

Result<Value> LowerIfText(Budget& budget, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.IsString()) return value;
  return budget.String(ToLower(value.AsString()));
}

/// What sort compares: the values at the comma-separated paths of `attribute`.
Result<Value> SortKey(Interpreter& interpreter, const Value& item, const Value& attribute, bool lower) {
  std::vector<Value> parts;
  if (!attribute.IsString()) {
    CONCLAVE_ASSIGN_OR_RETURN(Value part, LookUpPath(interpreter, item, attribute, lower, nullptr));
    parts.push_back(std::move(part));
    return interpreter.budget().List(std::move(parts));
  }
  std::string_view paths = attribute.AsString();
  for (bool more = true; more;) {
    const size_t comma = std::min(paths.find(','), paths.size());
    more = comma < paths.size();
    CONCLAVE_ASSIGN_OR_RETURN(
        Value part,
        LookUpPath(interpreter, item, Value::String(std::string(paths.substr(0, comma))), lower, nullptr));
    parts.push_back(std::move(part));
    paths = paths.substr(std::min(comma + 1, paths.size()));
  }
  return interpreter.budget().List(std::move(parts));
}

Result<Value> SortFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("sort", arguments, {"reverse", "case_sensitive", "attribute"}));
  const bool lower = !(bound[1] && IsTrue(*bound[1]));
  CONCLAVE_ASSIGN_OR_RETURN(const auto items, AllItems(budget, input));
  std::vector<Value> keys;
  for (const Value& item : items) {
    CONCLAVE_ASSIGN_OR_RETURN(Value key, SortKey(interpreter, item, bound[2].value_or(Value()), lower));
    keys.push_back(std::move(key));
  }
  CONCLAVE_ASSIGN_OR_RETURN(const auto order, SortedOrder(budget, keys, bound[0] && IsTrue(*bound[0])));
  std::vector<Value> sorted;
  for (const size_t index : order) sorted.push_back(items[index]);
  return budget.List(std::move(sorted));
}

Result<Value> DictSortFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("dictsort", arguments, {"case_sensitive", "by", "reverse"}));
  const bool case_sensitive = bound[0] && IsTrue(*bound[0]);
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view by, TextArgument("dictsort", bound[1], "key"));
  if (by != "key" && by != "value")
    return InvalidArgument("you can only sort by either \"key\" or \"value\"");
  if (input.IsUndefined()) return UndefinedError(input);
  if (!input.IsDict()) return InvalidArgument("dictsort() needs a dict, not " + TypeName(input));
  const auto& entries = input.AsDict().entries;
  std::vector<Value> keys;
  for (const auto& [key, value] : entries) {
    CONCLAVE_ASSIGN_OR_RETURN(Value compared, LowerIfText(budget, by == "key" ? key : value, case_sensitive));
    keys.push_back(std::move(compared));
  }
  CONCLAVE_ASSIGN_OR_RETURN(const auto order, SortedOrder(budget, keys, bound[2] && IsTrue(*bound[2])));
  std::vector<Value> sorted;
  for (const size_t index : order) {
    CONCLAVE_ASSIGN_OR_RETURN(Value pair, budget.Tuple({entries[index].first, entries[index].second}));
    sorted.push_back(std::move(pair));
  }
  return budget.List(std::move(sorted));
}

template <bool kLargest>
Result<Value> ExtremeFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound,
                            Bind(kLargest ? "max" : "min", arguments, {"case_sensitive", "attribute"}));
  const bool lower = !(bound[0] && IsTrue(*bound[0]));
  CONCLAVE_ASSIGN_OR_RETURN(const auto items, AllItems(budget, input));
  if (items.empty()) return UndefinedBecause("No aggregated item, sequence was empty.");
  const Value attribute = bound[1].value_or(Value());
  size_t best = 0;
  CONCLAVE_ASSIGN_OR_RETURN(Value best_key, LookUpPath(interpreter, items[0], attribute, lower, nullptr));
  for (size_t i = 1; i < items.size(); ++i) {
    CONCLAVE_ASSIGN_OR_RETURN(Value key, LookUpPath(interpreter, items[i], attribute, lower, nullptr));
    CONCLAVE_ASSIGN_OR_RETURN(const bool better,
                              kLargest ? IsLess(budget, best_key, key) : IsLess(budget, key, best_key));
    if (!better) continue;
    best = i;
    best_key = std::move(key);
  }
  return items[best];
}

Result<Value> GroupByFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound,
                            Bind("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1));
  const bool lower = !(bound[2] && IsTrue(*bound[2]));
  const Value* fallback = bound[1] && !bound[1]->IsNone() ? &*bound[1] : nullptr;
  CONCLAVE_ASSIGN_OR_RETURN(const auto items, AllItems(budget, input));
  std::vector<Value> keys;
  for (const Value& item : items) {
    CONCLAVE_ASSIGN_OR_RETURN(Value key, LookUpPath(interpreter, item, *bound[0], lower, fallback));
    keys.push_back(std::move(key));
  }
  CONCLAVE_ASSIGN_OR_RETURN(const auto order, SortedOrder(budget, keys, false));
  std::vector<Value> groups;
  for (size_t start = 0; start < order.size();) {
    std::vector<Value> members;
    size_t end = start;
    for (; end < order.size(); ++end) {
      CONCLAVE_ASSIGN_OR_RETURN(const bool equal, budget.Equal(keys[order[start]], keys[order[end]]));
      if (!equal) break;
      members.push_back(items[order[end]]);
    }
    // NaN is not even equal to itself, but a group has one member at least.
    if (end == start) members.push_back(items[order[end++]]);
    CONCLAVE_ASSIGN_OR_RETURN(Value grouper, LookUpPath(interpreter, members[0], *bound[0], false, fallback));
    if (!lower) grouper = keys[order[start]];
    CONCLAVE_ASSIGN_OR_RETURN(Value list, budget.List(std::move(members)));
    CONCLAVE_RETURN_IF_ERROR(budget.CheckDepth(list.Depth() + 1));
    groups.push_back(Value::Group(std::move(grouper), std::move(list)));
    start = end;
  }
  return budget.List(std::move(groups));
}

}  // namespace

const FilterTable& OrderFilters() {
  static const FilterTable table = {{"sort", SortFilter},
                                    {"dictsort", DictSortFilter},
                                    {"min", ExtremeFilter<false>},
                                    {"max", ExtremeFilter<true>},
                                    {"groupby", GroupByFilter}};
  return table;
}

}  // namespace conclave::tokenizer
