#pragma once

#include "platform/metrics/metrics.h"

namespace conclave::router {

inline const platform::MetricDefinition kQueuedRequests = {"conclave_router_queued_requests",
                                                           "Requests that wait for their turn"};
inline const platform::MetricDefinition kQueuedTokens = {
    "conclave_router_queued_tokens", "Prompt and answer tokens of the requests that wait for their turn"};
inline const platform::MetricDefinition kRunningRequests = {"conclave_router_running_requests",
                                                            "Requests that have their turn"};

}  // namespace conclave::router
