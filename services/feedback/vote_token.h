#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "conclave/v1/feedback_storage.pb.h"

namespace conclave::feedback {

using VoteTokenClaims = v1::VoteTokenClaims;

/// Signs and checks vote tokens: "v1.CLAIMS.MAC", where CLAIMS is a serialised VoteTokenClaims and MAC its
/// HMAC-SHA-256 (RFC 2104), both base64url without padding (RFC 4648 section 5). Whoever holds a token may
/// cast the one vote it allows; nobody without the key can make one. Immutable: any thread may call.
class VoteTokenSigner {
 public:
  /// `key` is a secret of kSigningKeyBytes random bytes.
  explicit VoteTokenSigner(std::string key) : key_(std::move(key)) {}

  /// The token for `claims`.
  std::string Sign(const VoteTokenClaims& claims) const;

  /// The claims of a token that this key signed; kUnauthenticated for everything else. Compares in constant
  /// time, and decodes the claims only after the signature held.
  Result<VoteTokenClaims> Verify(std::string_view token) const;

 private:
  std::string Mac(std::string_view text) const;

  std::string key_;
};

/// Whether `claims` allow `tenant` to rate `response_id` at `now_ms`: kPermissionDenied for another response
/// or another tenant, kFailedPrecondition when expired. That a token is unused, only the store knows.
Status CheckClaims(const VoteTokenClaims& claims, std::string_view response_id, std::string_view tenant,
                   int64_t now_ms);

/// `count` bytes from the operating system's random generator.
Result<std::string> RandomBytes(size_t count);

/// Lowercase hexadecimal digits of `bytes`.
std::string Hex(std::string_view bytes);

/// The 32 bytes of SHA-256 (FIPS 180-4) of `bytes`.
std::string Sha256(std::string_view bytes);

}  // namespace conclave::feedback
