#include "services/feedback/prepare.h"

#include <utility>

#include "services/feedback/checks.h"
#include "services/feedback/limits.h"

namespace conclave::feedback {
namespace {

Result<VoteTokenClaims> CheckToken(const VoteTokenSigner& signer, std::string_view token,
                                   std::string_view response_id, std::string_view tenant, int64_t now_ms) {
  CONCLAVE_ASSIGN_OR_RETURN(VoteTokenClaims claims, signer.Verify(token));
  CONCLAVE_RETURN_IF_ERROR(CheckClaims(claims, response_id, tenant, now_ms));
  return claims;
}

}  // namespace

Result<RateChange> PrepareRating(const VoteTokenSigner& signer, const v1::RateRequest& rating,
                                 std::string_view tenant, int64_t now_ms) {
  CONCLAVE_RETURN_IF_ERROR(CheckRating(rating));
  RateChange change;
  CONCLAVE_ASSIGN_OR_RETURN(change.claims,
                            CheckToken(signer, rating.vote_token(), rating.response_id(), tenant, now_ms));
  if (rating.vote().has_preference()) {
    const v1::Preference& preference = rating.vote().preference();
    auto other =
        CheckToken(signer, preference.other_vote_token(), preference.other_response_id(), tenant, now_ms);
    if (!other.ok()) return other.status().Annotate("other_vote_token");
    change.other_claims = std::move(other).value();
  }
  change.rating = rating;
  change.rated_ms = now_ms;
  return change;
}

Result<RecordChange> PrepareRecord(v1::RecordRequest record, int64_t now_ms) {
  CONCLAVE_RETURN_IF_ERROR(CheckRecord(record));
  return RecordChange{std::move(record), now_ms + kVoteTokenLifetimeMs};
}

Result<std::string> TenantFor(std::string_view named, std::string_view callers, bool caller_is_trusted) {
  if (named.empty() || named == callers) return std::string(callers);
  if (caller_is_trusted) return std::string(named);
  return PermissionDenied("tenant is not the caller's: leave it out, or call through a Unix socket of the server");
}

}  // namespace conclave::feedback
