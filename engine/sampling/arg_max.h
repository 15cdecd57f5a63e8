#pragma once

#include <cstdint>
#include <span>

namespace conclave::engine {

/// The id of the highest logit; the lower id wins a tie; NaN never wins. -1 when every logit is NaN or minus
/// infinity.
int32_t ArgMax(std::span<const float> logits);

/// log(sum(exp(logits))) in float64.
double LogSumExp(std::span<const float> logits);

}  // namespace conclave::engine
