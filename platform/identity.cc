#include "platform/identity.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>

#include <sys/random.h>

namespace conclave::platform {
namespace {

/// Crockford's base 32 in lowercase: no letter looks like a digit, and byte order is numeric order.
constexpr char kDigits[] = "0123456789abcdefghjkmnpqrstvwxyz";

}  // namespace

std::string RandomBytes(size_t count) {
  std::string bytes(count, '\0');
  size_t done = 0;
  while (done < count) {
    const ssize_t got = getrandom(bytes.data() + done, count - done, 0);
    if (got < 0 && errno != EINTR) std::abort();
    if (got > 0) done += static_cast<size_t>(got);
  }
  return bytes;
}

std::string RandomId() {
  std::string id(26, '0');
  uint64_t time_ms = static_cast<uint64_t>(NowMs());
  for (size_t i = 10; i-- > 0; time_ms >>= 5) id[i] = kDigits[time_ms & 31];
  const std::string random = RandomBytes(16);
  for (size_t i = 0; i < 16; ++i) id[10 + i] = kDigits[static_cast<unsigned char>(random[i]) & 31];
  return id;
}

std::string ToHex(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const unsigned char byte : bytes) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

bool IsIdentifier(std::string_view text, size_t max_bytes) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !text.empty() && text.size() <= max_bytes && std::all_of(text.begin(), text.end(), allowed);
}

int64_t NowMs() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count();
}

}  // namespace conclave::platform
