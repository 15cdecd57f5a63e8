#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace conclave::tokenizer {

/// GPT-2's reversible spelling of bytes as visible characters: printable Latin-1 characters stand for
/// themselves, the other 68 bytes for U+0100 onwards in byte order, so that a space is "Ġ" (U+0120).

/// The character that stands for `byte`, in UTF-8.
std::string_view SpellByte(uint8_t byte);

/// `bytes` spelled out.
std::string SpellBytes(std::string_view bytes);

/// The bytes that `spelling` stands for; nullopt when a character stands for no byte.
std::optional<std::string> UnspellBytes(std::string_view spelling);

}  // namespace conclave::tokenizer
