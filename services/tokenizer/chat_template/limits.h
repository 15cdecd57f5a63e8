#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave::tokenizer {

/// What one chat template may cost. A template comes with a model file from anywhere, so each of these
/// ends it with RESOURCE_EXHAUSTED and the limit's name instead of with the process.
struct ChatTemplateLimits {
  /// Bytes of template source.
  size_t source_bytes = size_t{1} << 20;
  /// Brackets, blocks and operators inside one another in the source; also the height of the syntax tree.
  int syntax_depth = 200;
  /// Distinct variables of one macro or of the template around them.
  int variables = 500;
  /// Steps of one rendering: a syntax node, a loop item, or 256 bytes of text looked at.
  int64_t steps = 5'000'000;
  /// Bytes of rendered text.
  size_t output_bytes = size_t{64} << 20;
  /// Bytes of all values made during one rendering, dead or alive.
  size_t value_bytes = size_t{256} << 20;
  /// Syntax nodes being evaluated inside one another, through macro calls too.
  int evaluation_depth = 800;
  /// Lists and dicts inside one another.
  int value_depth = 120;
  /// Items of range(), as jinja2's sandbox has it.
  int64_t range_items = 100'000;
};

inline constexpr ChatTemplateLimits kChatTemplateLimits;

static_assert(kChatTemplateLimits.value_bytes >= 2 * kChatTemplateLimits.output_bytes,
              "a template must be able to build its output before printing it");
static_assert(kChatTemplateLimits.syntax_depth < kChatTemplateLimits.evaluation_depth,
              "every expression that parses can be evaluated");

}  // namespace conclave::tokenizer
