#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "engine/files/model_file.h"

namespace conclave::engine {

/// Opens one GGUF file. Errors: as OpenModelFile.
Result<std::unique_ptr<ModelFile>> OpenGgufFile(const std::string& path);

}  // namespace conclave::engine
