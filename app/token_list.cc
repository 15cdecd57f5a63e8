#include "app/token_list.h"

#include <charconv>
#include <sstream>

namespace conclave::app {

Result<std::vector<int32_t>> ParseTokenList(const std::string& text) {
  std::vector<int32_t> tokens;
  std::istringstream parts(text);
  std::string part;
  while (std::getline(parts, part, ',')) {
    const size_t first = part.find_first_not_of(" \t\n");
    const size_t last = part.find_last_not_of(" \t\n");
    const std::string number = first == std::string::npos ? "" : part.substr(first, last - first + 1);
    int32_t token = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), token);
    if (error != std::errc() || end != number.data() + number.size() || token < 0) {
      return InvalidArgument("'" + part + "' is not a token id; write them as \"1,2,3\"");
    }
    tokens.push_back(token);
  }
  if (tokens.empty()) return InvalidArgument("there are no token ids; write them as \"1,2,3\"");
  return tokens;
}

}  // namespace conclave::app
