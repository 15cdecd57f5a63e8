#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace conclave::tokenizer {

/// Unicode's canonical composition (UAX 15). Any thread may call.
///
/// Returns `text` itself when it is normalised already, else a view into `storage`, which must outlive its
/// use. `text` must be valid UTF-8. Errors: INVALID_ARGUMENT (more than kMaxCombiningMarks marks in a row).
Result<std::string_view> NormalizeNfc(std::string_view text, std::string* storage);

}  // namespace conclave::tokenizer
