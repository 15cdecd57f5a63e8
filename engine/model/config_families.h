#pragma once

#include <string>

#include "base/result.h"
#include "engine/model/architecture.h"
#include "engine/model/config_fields.h"

namespace conclave::engine {

/// What a family of transformers' models means by its config.json.
struct ConfigFamily {
  const char* model_type;
  const char* class_name;  ///< of `architectures`
  // What an absent field means.
  int64_t kv_heads = 0;  ///< 0: as many as query heads
  int64_t head_dim = 0;  ///< 0: the query heads share the hidden width
  int64_t context = 2048;
  double norm_epsilon = 1e-6;
  double rope_theta = 10000.0;
  int64_t sliding_window = 0;
  bool has_window = false;  ///< The family knows the field `sliding_window`.
  QueryKeyNorm query_key_norm = QueryKeyNorm::kNone;
  /// How a mixture's fields and tensors are spelt.
  enum class Mixture : uint8_t {
    kNone,
    kMixtral,
    kQwen,
    kQwenShared,
    kOlmo,
    kGptOss,
    kDeepseek2,
    kDeepseek3
  } mixture = Mixture::kNone;
  /// The `quant_method` that the family's weights may have; nullptr: none.
  const char* quantisation = nullptr;
};

/// Errors: UNIMPLEMENTED (a family or feature this engine does not know), INVALID_ARGUMENT.
Result<const ConfigFamily*> FindConfigFamily(const Fields& config);

WeightNames ConfigWeightNames(const ConfigFamily& family);

/// The fields of attention and feed-forward layers that only this family has. `a` has its sizes already.
/// Errors: as above.
Status ReadFamilyFields(const ConfigFamily& family, const Fields& config, Architecture& a);

}  // namespace conclave::engine
