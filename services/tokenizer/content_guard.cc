#include "services/tokenizer/content_guard.h"

namespace conclave::tokenizer {

std::string GuardContent(std::string_view content, const SpecialTokens& special_tokens,
                         const Vocabulary& vocabulary) {
  std::string guarded;
  guarded.reserve(content.size());
  size_t next_special = special_tokens.FindNext(content, 0).begin;
  for (size_t at = 0; at < content.size(); ++at) {
    if (at == next_special) {
      if (vocabulary.IsSpecial(special_tokens.FindNext(content, at).token_id)) guarded += kContentGuard;
      next_special = special_tokens.FindNext(content, at + 1).begin;
    }
    if (content.substr(at).starts_with(kContentGuard)) guarded += kContentGuard;
    guarded += content[at];
  }
  return guarded;
}

bool IsGuarded(std::string_view text, size_t at) {
  size_t guards = 0;
  while (text.substr(0, at).ends_with(kContentGuard)) {
    at -= kContentGuard.size();
    ++guards;
  }
  return guards % 2 == 1;
}

std::string RemoveGuards(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t guard = text.find(kContentGuard, at);
    plain += text.substr(at, guard - at);
    if (guard == std::string_view::npos) break;
    at = guard + kContentGuard.size();
    if (text.substr(at).starts_with(kContentGuard)) {
      plain += kContentGuard;
      at += kContentGuard.size();
    }
  }
  return plain;
}

}  // namespace conclave::tokenizer
