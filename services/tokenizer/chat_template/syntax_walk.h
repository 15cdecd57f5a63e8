#pragma once

#include "services/tokenizer/chat_template/ast.h"

namespace conclave::tokenizer {

/// Calls `visit` with each expression directly below `node`, in jinja2's order; absent parts are skipped.
template <typename Node, typename Visit>
void ForEachChild(Node& node, const Visit& visit) {
  for (auto& child : node.children) {
    if (child) visit(*child);
  }
  for (auto& argument : node.call.positional) visit(*argument);
  for (auto& [name, argument] : node.call.named) visit(*argument);
  if (node.call.star) visit(*node.call.star);
  if (node.call.double_star) visit(*node.call.double_star);
}

}  // namespace conclave::tokenizer
