#include "engine/files/model_file.h"

#include <filesystem>

#include "engine/files/gguf_file.h"
#include "engine/files/quoted.h"
#include "engine/files/safetensors_folder.h"

namespace conclave::engine {

Result<const TensorView*> ModelFile::Require(const std::string& name) const {
  const TensorView* tensor = Find(name);
  if (tensor == nullptr) return InvalidArgument(path() + ": tensor '" + name + "' is missing");
  return tensor;
}

Result<std::unique_ptr<ModelFile>> OpenModelFile(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return OpenSafetensorsFolder(path);
  if (path.ends_with(".safetensors")) {
    return InvalidArgument("give the folder that holds " + Quoted(path) +
                           " and its config.json, not the file");
  }
  return OpenGgufFile(path);
}

}  // namespace conclave::engine
