#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace conclave::tokenizer {

struct NumberLiteral {
  /// Bytes of the source it takes.
  size_t size = 0;
  bool is_float = false;
  int64_t integer = 0;
  double number = 0;
};

/// The number at the start of `source`, which starts with a digit, as jinja2 writes numbers: underscores,
/// 0x, 0o, 0b, exponents. `allow_float`: false behind a dot, where "1.2" is two names of a path.
/// Errors: UNIMPLEMENTED for an integer beyond 64 bits.
Result<NumberLiteral> ScanNumber(std::string_view source, bool allow_float);

/// What Python makes of the inside of a quoted string. Errors: INVALID_ARGUMENT for a broken escape,
/// UNIMPLEMENTED for \N{...} and for half of a surrogate pair, which UTF-8 cannot hold.
Result<std::string> UnescapeString(std::string_view quoted);

/// Python's int(text, base) with base 0 or 2..36, and float(text); nullopt where Python raises ValueError.
/// `overflow` is set when the integer is beyond 64 bits.
std::optional<int64_t> ParseInteger(std::string_view text, int base, bool& overflow);
std::optional<double> ParseFloat(std::string_view text);

}  // namespace conclave::tokenizer
