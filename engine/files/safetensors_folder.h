#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "engine/files/model_file.h"

namespace conclave::engine {

/// Opens a folder with config.json and model.safetensors, or with model.safetensors.index.json and the shards
/// that it names (files of that folder only). Errors: as OpenModelFile.
Result<std::unique_ptr<ModelFile>> OpenSafetensorsFolder(const std::string& path);

}  // namespace conclave::engine
