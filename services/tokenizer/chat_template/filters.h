#pragma once

#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "services/tokenizer/chat_template/arguments.h"

namespace conclave::tokenizer {

class Interpreter;

using FilterFunction = Result<Value> (*)(Interpreter& interpreter, const Value& input,
                                         const Arguments& arguments);
using FilterTable = std::unordered_map<std::string_view, FilterFunction>;

/// The filters by subject; ApplyFilter looks into each.
const FilterTable& TextFilters();
const FilterTable& NumberFilters();
const FilterTable& SequenceFilters();
const FilterTable& SelectionFilters();
const FilterTable& OrderFilters();

/// nullptr when there is no such filter.
FilterFunction FindFilter(std::string_view name);

/// Whether there is a test of this name.
bool HasTest(std::string_view name);

/// Whether jinja2 itself has the filter, even where this subset lacks it.
bool IsJinjaFilter(std::string_view name);

/// The items' attribute of the parameter `attribute` of map, sort and others: "a.b.0" or a position.
/// `lower`: as lower case when it is a string. `fallback`: instead of an undefined part; may be null.
Result<Value> LookUpPath(Interpreter& interpreter, const Value& item, const Value& attribute, bool lower,
                         const Value* fallback);

}  // namespace conclave::tokenizer
