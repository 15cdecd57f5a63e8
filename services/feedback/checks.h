#pragma once

#include <string_view>

#include "base/status.h"
#include "conclave/v1/feedback.pb.h"

namespace conclave::feedback {

/// Whether `id` is 1 to kMaxIdBytes letters, digits, '-' or '_'; `field` names it in the error.
Status CheckId(std::string_view id, std::string_view field);

/// Whether an answer may be stored: an id, a prompt, texts in UTF-8, known roles, one finite log-probability
/// for each token, all within the limits. kInvalidArgument names the field.
Status CheckRecord(const v1::RecordRequest& record);

/// Whether a rating says exactly one thing that can be said, within the limits; the vote tokens are not
/// looked at. kInvalidArgument names the field.
Status CheckRating(const v1::RateRequest& rating);

}  // namespace conclave::feedback
