#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "services/tokenizer/chat_template/budget.h"

namespace conclave::tokenizer {

/// [[fill]align][sign][#][0][width][grouping][.precision][type] of Python's format specification.
struct FormatSpec {
  std::string fill = " ";
  /// '<' '>' '^' '=' or 0 for the type's own.
  char align = 0;
  /// '+', ' ', or 0 for a sign on negative numbers only.
  char sign = 0;
  bool alternate = false;
  int64_t width = 0;
  /// ',' '_' or 0.
  char grouping = 0;
  /// Negative when absent.
  int64_t precision = -1;
  char type = 0;
};

Result<FormatSpec> ParseFormatSpec(std::string_view text);

/// format(value, spec).
Result<std::string> FormatValue(Budget& budget, const Value& value, const FormatSpec& spec, bool empty_spec);

/// A number without padding: sign, digits, grouping. `value` is a number.
Result<std::string> NumberText(const Value& value, const FormatSpec& spec);

/// Pads `text` to the width; '=' puts the fill behind the sign.
Result<std::string> Pad(Budget& budget, std::string text, const FormatSpec& spec, char default_align);

}  // namespace conclave::tokenizer
