#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace conclave::platform {

/// `count` bytes from the operating system's random generator. It aborts only if the kernel has none.
std::string RandomBytes(size_t count);

/// A fresh identifier: 26 lowercase letters and digits; the first 10 are the time in milliseconds, so that
/// later ones sort after earlier ones, the rest is 80 random bits.
std::string RandomId();

/// Lowercase hexadecimal.
std::string ToHex(std::string_view bytes);

/// Whether `text` is 1 to `max_bytes` letters, digits, '-', '_' or '.' (ASCII).
bool IsIdentifier(std::string_view text, size_t max_bytes);

/// Wall-clock time in milliseconds since 1970.
int64_t NowMs();

}  // namespace conclave::platform
