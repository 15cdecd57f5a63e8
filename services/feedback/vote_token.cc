#include "services/feedback/vote_token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "services/feedback/base64url.h"
#include "services/feedback/limits.h"

namespace conclave::feedback {
namespace {

constexpr std::string_view kPrefix = "v1.";

Status NotOurs() {
  return Unauthenticated(
      "the vote token was not signed by this server: send the one that came with the answer");
}

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

std::string VoteTokenSigner::Mac(std::string_view text) const {
  std::string mac(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), Bytes(text), text.size(),
       reinterpret_cast<unsigned char*>(mac.data()), &size);
  mac.resize(size);
  return mac;
}

std::string VoteTokenSigner::Sign(const VoteTokenClaims& claims) const {
  const std::string signed_part = std::string(kPrefix) + EncodeBase64Url(claims.SerializeAsString());
  return signed_part + "." + EncodeBase64Url(Mac(signed_part));
}

Result<VoteTokenClaims> VoteTokenSigner::Verify(std::string_view token) const {
  if (token.empty()) return Unauthenticated("vote_token is empty: send the one that came with the answer");
  if (token.size() > kMaxVoteTokenBytes || !token.starts_with(kPrefix)) return NotOurs();
  const size_t dot = token.rfind('.');
  if (dot < kPrefix.size()) return NotOurs();
  const std::string expected = Mac(token.substr(0, dot));
  const auto mac = DecodeBase64Url(token.substr(dot + 1));
  if (!mac || expected.empty() || mac->size() != expected.size() ||
      CRYPTO_memcmp(mac->data(), expected.data(), expected.size()) != 0) {
    return NotOurs();
  }
  const auto bytes = DecodeBase64Url(token.substr(kPrefix.size(), dot - kPrefix.size()));
  VoteTokenClaims claims;
  if (!bytes || !claims.ParseFromString(*bytes) || claims.nonce().size() != kNonceBytes) return NotOurs();
  return claims;
}

Status CheckClaims(const VoteTokenClaims& claims, std::string_view response_id, std::string_view tenant,
                   int64_t now_ms) {
  if (claims.tenant() != tenant) {
    return PermissionDenied(
        "the vote token belongs to another tenant: rate answers with the identity that asked");
  }
  if (claims.response_id() != response_id) {
    return PermissionDenied(
        "the vote token is for another response: send the one that came with this answer");
  }
  if (now_ms >= claims.expires_ms()) {
    return FailedPrecondition("the vote token expired " +
                              std::to_string((now_ms - claims.expires_ms()) / 1000) +
                              " s ago: ask again to rate a new answer");
  }
  return Status::Ok();
}

Result<std::string> RandomBytes(size_t count) {
  std::string bytes(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) != 1) {
    return Unavailable("the random generator has no entropy: try again");
  }
  return bytes;
}

std::string Hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (char byte : bytes) {
    text += kDigits[static_cast<uint8_t>(byte) >> 4];
    text += kDigits[static_cast<uint8_t>(byte) & 15];
  }
  return text;
}

std::string Sha256(std::string_view bytes) {
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &size, EVP_sha256(),
             nullptr);
  digest.resize(size);
  return digest;
}

}  // namespace conclave::feedback
