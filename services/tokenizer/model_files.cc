#include "services/tokenizer/model_files.h"

#include <filesystem>

#include "engine/files/model_file.h"
#include "services/tokenizer/vocabulary_gguf.h"
#include "services/tokenizer/vocabulary_json.h"

namespace conclave::tokenizer {

Result<TokenizerFiles> ReadTokenizerFiles(const std::string& model_path) {
  std::error_code error;
  if (std::filesystem::is_directory(model_path, error)) return ReadTokenizerFolder(model_path);
  CONCLAVE_ASSIGN_OR_RETURN(const auto file, engine::OpenModelFile(model_path));
  Result<TokenizerFiles> files = ReadGgufTokenizer(file->metadata());
  if (!files.ok()) return files.status().Annotate(model_path);
  return files;
}

}  // namespace conclave::tokenizer
