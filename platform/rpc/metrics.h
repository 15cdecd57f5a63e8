#pragma once

#include "platform/metrics/metrics.h"

namespace conclave::platform {

inline const MetricDefinition kCallsMetric{"conclave_rpc_calls_total",
                                           "gRPC calls that ended, by method and code."};
inline const MetricDefinition kCallDurationMetric{"conclave_rpc_call_duration_seconds",
                                                  "From a gRPC call's arrival to its end."};
inline const MetricDefinition kRunningCallsMetric{"conclave_rpc_running_calls",
                                                  "gRPC calls that are under way."};

}  // namespace conclave::platform
