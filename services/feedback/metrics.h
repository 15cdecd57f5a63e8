#pragma once

#include "platform/metrics/metrics.h"

namespace conclave::feedback {

// The metrics of the feedback service.

inline const platform::MetricDefinition kRatingsTotal{
    "conclave_feedback_ratings_total",
    "Ratings acknowledged, by kind: thumb, stars, preference, correction."};
inline const platform::MetricDefinition kRecordsTotal{"conclave_feedback_records_total",
                                                      "Answers acknowledged."};
inline const platform::MetricDefinition kRefusedTotal{
    "conclave_feedback_refused_total",
    "Ratings and answers refused, by what (rating, record) and reason (gRPC code)."};
inline const platform::MetricDefinition kGroupSize{"conclave_feedback_group_size",
                                                   "Ratings and answers that shared one synchronous write."};
inline const platform::MetricDefinition kSyncSeconds{
    "conclave_feedback_sync_seconds", "How long a group's synchronous write took, checks included."};
inline const platform::MetricDefinition kPending{"conclave_feedback_pending",
                                                 "Ratings and answers that wait for the disk."};

}  // namespace conclave::feedback
