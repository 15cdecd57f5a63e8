#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "engine/model/language_model.h"
#include "engine/quantise/column_statistics.h"
#include "engine/quantise/statistics_gatherer.h"

namespace conclave::engine {

struct CalibrationOptions {
  int64_t window = 512;  ///< tokens of a sequence
  /// What the statistics may take, beside the model. More lets products of more distant columns count.
  uint64_t memory_bytes = uint64_t{4} << 30;
};

/// How the products of a model's columns are gathered within `memory_bytes`: together up to 2,048 columns and
/// in blocks of 512 beyond, or in narrower blocks where that is too much. Errors: RESOURCE_EXHAUSTED (even
/// the narrowest take more; says how much).
Result<ColumnGrouping> FittingGrouping(const Architecture& architecture, uint64_t memory_bytes);

/// Runs `tokens` through the model in windows (a shorter rest is left out), each a sequence of its own, while
/// `observer` looks on. `progress(done, total)` is called after each window. Errors: those of CountWindows
/// and of the forward pass.
Status ObserveText(LanguageModel& model, std::span<const int32_t> tokens, int64_t window,
                   ActivationObserver& observer,
                   const std::function<void(int64_t done, int64_t total)>& progress);

/// Runs `tokens` through the model as ObserveText does, and gathers what every matrix reads; memory does not
/// grow with the tokens. `progress(done, total)` is called after each window. Errors: INVALID_ARGUMENT (fewer
/// tokens than one window; window under 4 or over the context; an activation that is not finite), those of
/// FittingGrouping and of the forward pass.
Result<Importance> Calibrate(LanguageModel& model, std::span<const int32_t> tokens,
                             const CalibrationOptions& options,
                             const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace conclave::engine
