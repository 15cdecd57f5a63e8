#include "services/retriever/checks.h"

#include <algorithm>

#include "base/utf8.h"
#include "platform/identity.h"
#include "services/retriever/limits.h"

namespace conclave::retriever {

Status CheckCollectionName(std::string_view name) {
  if (name.empty()) return InvalidArgument("collection is missing: name one");
  const bool dots = name.find_first_not_of('.') == std::string_view::npos;
  if (!dots && platform::IsIdentifier(name, kMaxCollectionNameBytes)) return Status::Ok();
  return InvalidArgument("collection must be 1 to 64 letters, digits, '-', '_' or '.', and not only dots");
}

Status CheckSource(std::string_view source) {
  if (source.empty()) return InvalidArgument("source is missing: say where the document came from");
  if (source.size() > kMaxSourceBytes) {
    return InvalidArgument("source has " + std::to_string(source.size()) + " bytes, the limit is 4096");
  }
  const bool control = std::any_of(source.begin(), source.end(),
                                   [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  if (control || !IsValidUtf8(source))
    return InvalidArgument("source must be UTF-8 without control characters");
  return Status::Ok();
}

Status CheckQuery(std::string_view query) {
  if (query.find_first_not_of(" \t\r\n") == std::string_view::npos) return InvalidArgument("query is empty");
  if (query.size() > kMaxQueryBytes) {
    return InvalidArgument("query has " + std::to_string(query.size()) + " bytes, the limit is 16384");
  }
  if (!IsValidUtf8(query)) return InvalidArgument("query is not UTF-8");
  return Status::Ok();
}

Result<std::string> TenantFor(std::string_view named, std::string_view callers, bool caller_is_trusted) {
  if (named.empty() || named == callers) return std::string(callers);
  if (!caller_is_trusted) {
    return PermissionDenied(
        "tenant is not the caller's: leave it out, or call through a Unix socket of the server");
  }
  if (!platform::IsIdentifier(named, kMaxTenantBytes)) {
    return InvalidArgument("tenant must be 1 to 64 letters, digits, '-', '_' or '.'");
  }
  return std::string(named);
}

}  // namespace conclave::retriever
