#pragma once

#include "base/result.h"
#include "services/tokenizer/chat_template/ast.h"
#include "services/tokenizer/chat_template/limits.h"

namespace conclave::tokenizer {

/// Decides for every name in the tree which variable it means and fills in the slots. The rules are those of
/// jinja2's compiler, which decides once for a whole block: a name that is set anywhere in a block is the
/// block's own variable from its start, if blocks share the variables around them, and macros see the
/// variables around their definition as they are when the macro runs.
/// Errors: INVALID_ARGUMENT for assigning to `loop` in a loop, UNIMPLEMENTED for `self`, RESOURCE_EXHAUSTED
/// for more than limits.variables variables.
Status ResolveVariables(TemplateSyntax& syntax, const ChatTemplateLimits& limits);

/// Refuses filters and tests that do not exist, by name and line. As in jinja2, those inside of an `if` are
/// left to the rendering, which may never reach them.
Status CheckNames(const TemplateSyntax& syntax);

}  // namespace conclave::tokenizer
