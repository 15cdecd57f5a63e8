#include <algorithm>

#include "services/tokenizer/chat_template/filters.h"
#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/lazy_items.h"
#include "services/tokenizer/chat_template/operators.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/to_text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

Result<Value> LengthFilter(Interpreter&, const Value& input, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("length", arguments, {}).status());
  const int64_t length = LengthOf(input);
  if (length < 0) return InvalidArgument("object of type '" + TypeName(input) + "' has no len()");
  return Value::Int(length);
}

Result<Value> FirstFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("first", arguments, {}).status());
  CONCLAVE_ASSIGN_OR_RETURN(auto items, Iterate(interpreter.budget(), input));
  Value item;
  CONCLAVE_ASSIGN_OR_RETURN(const bool any, items->Next(item));
  return any ? item : UndefinedBecause("No first item, sequence was empty.");
}

Result<Value> LastFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("last", arguments, {}).status());
  CONCLAVE_ASSIGN_OR_RETURN(auto items, IterateReversed(interpreter.budget(), input));
  Value item;
  CONCLAVE_ASSIGN_OR_RETURN(const bool any, items->Next(item));
  return any ? item : UndefinedBecause("No last item, sequence was empty.");
}

Result<Value> JoinFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("join", arguments, {"d", "attribute"}));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string separator,
                            ToText(budget, bound[0].value_or(Value::String(""))));
  CONCLAVE_ASSIGN_OR_RETURN(auto items, Iterate(budget, input));
  std::string joined;
  Value item;
  for (bool first = true;; first = false) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool more, items->Next(item));
    if (!more) break;
    if (bound[1] && !bound[1]->IsNone()) {
      CONCLAVE_ASSIGN_OR_RETURN(item, LookUpPath(interpreter, item, *bound[1], false, nullptr));
    }
    CONCLAVE_ASSIGN_OR_RETURN(const std::string text, ToText(budget, item));
    CONCLAVE_RETURN_IF_ERROR(budget.Bytes(separator.size()));
    if (!first) joined += separator;
    joined += text;
  }
  return budget.String(std::move(joined));
}

Result<Value> ListFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("list", arguments, {}).status());
  CONCLAVE_ASSIGN_OR_RETURN(auto items, AllItems(interpreter.budget(), input));
  return interpreter.budget().List(std::move(items));
}

Result<Value> DefaultFilter(Interpreter&, const Value& input, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("default", arguments, {"default_value", "boolean"}));
  const bool empty_too = bound[1] && IsTrue(*bound[1]);
  if (!input.IsUndefined() && (!empty_too || IsTrue(input))) return input;
  return bound[0].value_or(Value::String(""));
}

Result<Value> ReverseFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_RETURN_IF_ERROR(Bind("reverse", arguments, {}).status());
  if (input.IsObject() && input.AsObject()->kind() == ObjectKind::kIterator) {
    CONCLAVE_ASSIGN_OR_RETURN(auto items, AllItems(budget, input));
    std::reverse(items.begin(), items.end());
    return budget.List(std::move(items));
  }
  if (!IsIterable(input)) return InvalidArgument("argument must be iterable");
  CONCLAVE_ASSIGN_OR_RETURN(auto reversed, IterateReversed(budget, input));
  if (!input.IsString()) return MakeIterator(budget, std::move(reversed), input.Depth());
  std::string text;
  text.reserve(input.AsString().size());
  Value character;
  while (true) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool more, reversed->Next(character));
    if (!more) break;
    text += character.AsString();
  }
  return budget.Text(std::move(text), input.IsMarkup());
}

Result<Value> ItemsFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("items", arguments, {}).status());
  Budget& budget = interpreter.budget();
  auto make = [&budget, input]() -> Result<std::vector<Value>> {
    std::vector<Value> items;
    if (input.IsUndefined()) return items;
    if (!input.IsDict()) return InvalidArgument("can only get item pairs from a mapping");
    for (const auto& [key, value] : input.AsDict().entries) {
      CONCLAVE_ASSIGN_OR_RETURN(Value pair, budget.Tuple({key, value}));
      items.push_back(std::move(pair));
    }
    return items;
  };
  return MakeIterator(budget, std::make_unique<LazyItems>(std::move(make)), input.Depth() + 1);
}

Result<Value> SumFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("sum", arguments, {"attribute", "start"}));
  Value sum = bound[1].value_or(Value::Int(0));
  CONCLAVE_ASSIGN_OR_RETURN(auto items, Iterate(budget, input));
  if (sum.IsString()) return InvalidArgument("sum() can't sum strings [use ''.join(seq) instead]");
  Value item;
  while (true) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool more, items->Next(item));
    if (!more) return sum;
    if (bound[0] && !bound[0]->IsNone()) {
      CONCLAVE_ASSIGN_OR_RETURN(item, LookUpPath(interpreter, item, *bound[0], false, nullptr));
    }
    CONCLAVE_ASSIGN_OR_RETURN(sum, Calculate(budget, Operator::kAdd, sum, item));
  }
}

Result<Value> BatchFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("batch", arguments, {"linecount", "fill_with"}, 1));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t count, IntegerArgument("batch", bound[0], 0));
  const Value fill = bound[1].value_or(Value());
  auto make = [&budget, input, count, fill]() -> Result<std::vector<Value>> {
    CONCLAVE_ASSIGN_OR_RETURN(auto items, AllItems(budget, input));
    std::vector<Value> batches;
    std::vector<Value> batch;
    for (Value& item : items) {
      if (static_cast<int64_t>(batch.size()) == count) {
        CONCLAVE_ASSIGN_OR_RETURN(Value full, budget.List(std::exchange(batch, {})));
        batches.push_back(std::move(full));
      }
      batch.push_back(std::move(item));
    }
    if (batch.empty()) return batches;
    const auto size = static_cast<int64_t>(batch.size());
    if (!fill.IsNone() && size < count) {
      CONCLAVE_RETURN_IF_ERROR(
          budget.Bytes(static_cast<size_t>(std::min(count - size, INT64_MAX / 64)) * sizeof(Value)));
      batch.resize(static_cast<size_t>(count), fill);
    }
    CONCLAVE_ASSIGN_OR_RETURN(Value last, budget.List(std::move(batch)));
    batches.push_back(std::move(last));
    return batches;
  };
  return MakeIterator(budget, std::make_unique<LazyItems>(std::move(make)),
                      std::max(input.Depth(), fill.Depth()));
}

Result<std::vector<Value>> Slices(Budget& budget, const Value& input, int64_t count, const Value& fill) {
  CONCLAVE_ASSIGN_OR_RETURN(const auto items, AllItems(budget, input));
  if (count == 0) return InvalidArgument("integer division or modulo by zero");
  std::vector<Value> slices;
  const auto size = static_cast<int64_t>(items.size());
  size_t at = 0;
  for (int64_t i = 0; i < count; ++i) {
    const bool longer = i < size % count;
    const size_t take = static_cast<size_t>(size / count) + longer;
    std::vector<Value> slice(items.begin() + static_cast<std::ptrdiff_t>(at),
                             items.begin() + static_cast<std::ptrdiff_t>(at + take));
    at += take;
    if (!fill.IsNone() && !longer) slice.push_back(fill);
    CONCLAVE_ASSIGN_OR_RETURN(Value made, budget.List(std::move(slice)));
    slices.push_back(std::move(made));
  }
  return slices;
}

Result<Value> SliceFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("slice", arguments, {"slices", "fill_with"}, 1));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t count, IntegerArgument("slice", bound[0], 0));
  const Value fill = bound[1].value_or(Value());
  auto make = [&budget, input, count, fill] { return Slices(budget, input, count, fill); };
  return MakeIterator(budget, std::make_unique<LazyItems>(std::move(make)),
                      std::max(input.Depth(), fill.Depth()));
}

}  // namespace

const FilterTable& SequenceFilters() {
  static const FilterTable table = {
      {"length", LengthFilter},   {"count", LengthFilter},    {"first", FirstFilter},
      {"last", LastFilter},       {"join", JoinFilter},       {"list", ListFilter},
      {"d", DefaultFilter},       {"default", DefaultFilter}, {"items", ItemsFilter},
      {"reverse", ReverseFilter}, {"sum", SumFilter},         {"batch", BatchFilter},
      {"slice", SliceFilter}};
  return table;
}

}  // namespace conclave::tokenizer
