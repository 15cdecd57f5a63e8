#pragma once

#include <string>

#include "base/result.h"
#include "engine/model/architecture.h"
#include "engine/model/config_fields.h"

namespace conclave::engine {

// What config.json says of DeepSeek-V2 (arXiv 2405.04434) and V3 (arXiv 2412.19437). `a` has its sizes and
// its rope already. Errors: INVALID_ARGUMENT, UNIMPLEMENTED.

Status ReadDeepseek2(const Fields& config, Architecture& a);
Status ReadDeepseek3(const Fields& config, Architecture& a);

/// Names of layers that begin with `layer` ("model.layers.{}.").
void NameDeepseek(const std::string& layer, WeightNames& names);

/// Whether queries have a latent, and which layers only guess further tokens.
Status DescribeLatent(const Fields& config, ModelDescription& description);

/// What scores of queries and keys that are head_dim wide are multiplied by: YaRN's weight of all dimensions
/// goes in twice, for queries and for keys.
double LatentAttentionScale(const Architecture& a);

/// The layers before `first` are dense; where that is all of them there is no mixture.
void SetDenseLayers(int64_t first, Architecture& a);

}  // namespace conclave::engine
