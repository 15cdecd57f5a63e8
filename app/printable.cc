#include "app/printable.h"

namespace conclave::app {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool IsControl(unsigned char c) { return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F; }

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    // U+0080 to U+009F are controls too.
    const bool high = c == 0xC2 && at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) < 0xA0;
    if (high) ++at;
    if (high || IsControl(c)) {
      out += kReplacement;
    } else {
      out += text[at];
    }
  }
  return out;
}

}  // namespace conclave::app
