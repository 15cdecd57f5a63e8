#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "services/tokenizer/chat_template/arguments.h"
#include "services/tokenizer/chat_template/budget.h"

namespace conclave::tokenizer {

/// A part of a text, given by positions of characters as in str.find(sub, start, end).
struct TextWindow {
  std::string_view text;
  /// Characters in front of it.
  size_t first = 0;
  /// False when start is behind the end of the text, where nothing is found, not even "".
  bool valid = true;
};

Result<TextWindow> MakeWindow(Budget& budget, std::string_view method, const Value& text,
                              const std::optional<Value>& start, const std::optional<Value>& end);

/// Byte positions; npos when absent. The time is linear, or paid for in steps.
size_t FindText(std::string_view text, std::string_view wanted, size_t from);
Result<size_t> FindLast(Budget& budget, std::string_view text, std::string_view wanted);

/// str.replace; a negative `count` replaces all.
Result<std::string> ReplaceAll(Budget& budget, std::string_view text, std::string_view old,
                               std::string_view replacement, int64_t count);

/// str.splitlines(): Unicode's line ends.
std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends);

// Methods of strings, for the table in string_methods.cc.
Result<Value> SplitMethod(Budget& budget, const Value& self, const Arguments& arguments);
Result<Value> RightSplitMethod(Budget& budget, const Value& self, const Arguments& arguments);
Result<Value> SplitLinesMethod(Budget& budget, const Value& self, const Arguments& arguments);
Result<Value> PartitionMethod(Budget& budget, const Value& self, const Arguments& arguments);
Result<Value> RightPartitionMethod(Budget& budget, const Value& self, const Arguments& arguments);
Result<Value> FindMethodOfText(Budget& budget, const Value& self, const Arguments& arguments);
Result<Value> RightFindMethod(Budget& budget, const Value& self, const Arguments& arguments);
Result<Value> IndexMethod(Budget& budget, const Value& self, const Arguments& arguments);
Result<Value> RightIndexMethod(Budget& budget, const Value& self, const Arguments& arguments);
Result<Value> CountMethod(Budget& budget, const Value& self, const Arguments& arguments);

}  // namespace conclave::tokenizer
