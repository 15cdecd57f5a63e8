#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "engine/model/language_model.h"
#include "engine/quantise/column_statistics.h"

namespace conclave::engine {

/// Runs `tokens` through the model in windows of `window` tokens (a shorter rest is left out), each a
/// sequence of its own, and gathers what every matrix reads. `progress(done, total)` is called after each
/// window. Errors: INVALID_ARGUMENT (fewer tokens than one window; window under 4 or over the context; an
/// activation that is not finite), and those of the forward pass.
Result<Importance> Calibrate(LanguageModel& model, std::span<const int32_t> tokens, int64_t window,
                             const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace conclave::engine
