#pragma once

#include <string>
#include <string_view>

#include "services/tokenizer/special_tokens.h"
#include "services/tokenizer/vocabulary.h"

namespace conclave::tokenizer {

/// What people write into a message must not steer the model: "<|im_end|>" inside a message is text, while
/// the same characters in a chat template are the token. Between the two lies the template, which sees
/// nothing but strings; so a guard character is put in front of every control token's text in a message
/// before the template runs, and whoever encodes the rendered text takes a guarded token for text and removes
/// the guards. The guard is U+FDD0, which Unicode reserves for a program's own use; where a message holds it,
/// it is doubled.
inline constexpr std::string_view kContentGuard = "\xEF\xB7\x90";

/// `content` with its guards.
std::string GuardContent(std::string_view content, const SpecialTokens& special_tokens,
                         const Vocabulary& vocabulary);

/// Whether what begins at `at` in a rendered text is guarded.
bool IsGuarded(std::string_view text, size_t at);

/// The text that was meant.
std::string RemoveGuards(std::string_view text);

}  // namespace conclave::tokenizer
