#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace conclave::feedback {

/// `bytes` in the URL-safe alphabet of RFC 4648 section 5, without padding.
std::string EncodeBase64Url(std::string_view bytes);

/// The inverse; nothing when `text` holds another character, has an impossible length, or is not the one text
/// that EncodeBase64Url makes (leftover bits that are not zero).
std::optional<std::string> DecodeBase64Url(std::string_view text);

}  // namespace conclave::feedback
