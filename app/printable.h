#pragma once

#include <string>
#include <string_view>

namespace conclave::app {

/// Text of documents and models as a terminal may show it: control characters other than newline and tab,
/// which could move the cursor or change the window's title, become U+FFFD. `text` is valid UTF-8.
std::string Printable(std::string_view text);

}  // namespace conclave::app
