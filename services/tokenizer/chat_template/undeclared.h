#pragma once

#include <set>
#include <string>

#include "services/tokenizer/chat_template/ast.h"

namespace conclave::tokenizer {

/// Which of `names` are read in `body` before, in the order of the text, anything there assigns to them.
std::set<std::string> FindUndeclared(const Body& body, std::set<std::string> names);

}  // namespace conclave::tokenizer
