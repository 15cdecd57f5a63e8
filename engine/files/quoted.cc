#include "engine/files/quoted.h"

namespace conclave::engine {
namespace {
constexpr size_t kMaxQuotedBytes = 120;
}

std::string Quoted(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "'";
  for (const char c : text.substr(0, kMaxQuotedBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F && c != '\'' && c != '\\') {
      out += c;
    } else {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  if (text.size() > kMaxQuotedBytes) out += "...";
  return out + "'";
}

}  // namespace conclave::engine
