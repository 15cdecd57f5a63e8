#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "services/retriever/document.h"

namespace conclave::retriever {

/// INVALID_ARGUMENT unless it is 1 to 64 letters, digits, '-', '_' or '.', and not only dots.
Status CheckCollectionName(std::string_view name);

/// INVALID_ARGUMENT unless it is 1 byte to 4 KiB of UTF-8 without control characters.
Status CheckSource(std::string_view source);

/// INVALID_ARGUMENT unless it is 1 byte to 16 KiB of UTF-8, not only blanks.
Status CheckQuery(std::string_view query);

/// Whose documents a call is about: the tenant it names, which only a trusted caller may choose, else the
/// caller's own. PERMISSION_DENIED; INVALID_ARGUMENT for a name that is none.
Result<std::string> TenantFor(std::string_view named, std::string_view callers, bool caller_is_trusted);

}  // namespace conclave::retriever
