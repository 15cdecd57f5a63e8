#include "engine/quantise/quantise_source.h"

#include <filesystem>

#include "engine/files/quoted.h"
#include "engine/quantise/tensor_plan.h"

namespace conclave::engine {
namespace {

/// Of the block formats' layout; it has been 2 since 2023.
constexpr uint32_t kQuantisationVersion = 2;

}  // namespace

void AddFormat(DType matrices, GgufPairs& pairs) {
  pairs.AddUint32("general.file_type", FileTypeOf(matrices));
  pairs.AddUint32("general.quantization_version", kQuantisationVersion);
}

Status CheckKeepsSource(const std::string& source, const std::string& out) {
  std::error_code ignored;
  if (std::filesystem::equivalent(source, out, ignored)) {
    return InvalidArgument(Quoted(out) + " is the model that is read; give another file to write");
  }
  // A folder's own files have other endings.
  const std::filesystem::path folder = std::filesystem::path(out).parent_path();
  if (std::filesystem::is_directory(source, ignored) && !out.ends_with(".gguf") &&
      std::filesystem::equivalent(source, folder.empty() ? "." : folder, ignored)) {
    return InvalidArgument(Quoted(out) + " lies in the folder that is read; give it the ending .gguf");
  }
  return Status::Ok();
}

}  // namespace conclave::engine
