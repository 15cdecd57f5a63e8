#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "services/feedback/feedback_store.h"
#include "services/feedback/vote_token.h"

namespace conclave::feedback {

/// Everything about a rating that can be decided without the store: the vote, then the token, then for a
/// comparison the other answer's token. `tenant` is the caller's.
Result<RateChange> PrepareRating(const VoteTokenSigner& signer, const v1::RateRequest& rating,
                                 std::string_view tenant, int64_t now_ms);

/// The same for an answer to store.
Result<RecordChange> PrepareRecord(v1::RecordRequest record, int64_t now_ms);

/// The tenant that a request speaks for: the one it names, or when it names none the caller's.
/// kPermissionDenied when it names another than the caller's and the caller is not trusted to do so.
Result<std::string> TenantFor(std::string_view named, std::string_view callers, bool caller_is_trusted);

}  // namespace conclave::feedback
