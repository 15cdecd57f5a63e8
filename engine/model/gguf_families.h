#pragma once

#include <array>
#include <string_view>

#include "engine/model/architecture.h"

namespace conclave::engine {

/// What a family of llama.cpp's models (`general.architecture`) means beyond the keys of its files.
struct GgufFamily {
  std::string_view name;
  std::array<std::string_view, 3> model_types;  ///< of transformers, whose models are written so
  RopeLayout rope_layout = RopeLayout::kHalves;
  QueryKeyNorm query_key_norm = QueryKeyNorm::kNone;
  bool always_mixture = true;  ///< else where a file gives a number of experts
  bool renormalise = false;
  bool shared_expert = false;  ///< behind a gate
  bool deepseek = false;       ///< latent attention, and routing by the file's keys
  bool gpt_oss = false;        ///< ApplyGptOss; every second layer has the window, from the first on
  /// Files cannot say whether YaRN's range is widened to whole pairs; the family's models were trained so.
  bool truncate_yarn = true;
  /// Written by `convert upcycle` (docs/decisions/0023): experts are parts of the dense blocks of a model of
  /// another family, which a key names and which says all but the feed-forward layers. The shared one has no
  /// gate and may be missing.
  bool upcycled = false;
};

/// The family of models that `convert upcycle` writes, and the key below its name that holds the dense
/// model's family.
inline constexpr std::string_view kUpcycledFamily = "conclave-moe";
inline constexpr std::string_view kDenseFamilyKey = "dense_architecture";

/// nullptr: this engine does not know it.
const GgufFamily* FindGgufFamily(std::string_view name);

/// The family whose files can hold a model that came from elsewhere. nullptr: there is none.
const GgufFamily* GgufFamilyOf(const Architecture& architecture);

/// The names of a file's tensors, an expert's being parts of one tensor.
WeightNames GgufWeightNames(const GgufFamily& family);

}  // namespace conclave::engine
