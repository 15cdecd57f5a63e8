#include <filesystem>
#include <fstream>

#include "services/tokenizer/limits.h"
#include "services/tokenizer/vocabulary_json.h"

namespace conclave::tokenizer {
namespace {

/// An absent file reads as empty text, unless it is `required`.
Status ReadText(const std::filesystem::path& path, bool required, std::string* text) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    if (required) return NotFound(path.string() + " does not exist; the model folder holds no tokenizer");
    return Status::Ok();
  }
  const auto size =
      std::filesystem::is_regular_file(path, error) ? std::filesystem::file_size(path, error) : 0;
  if (error || size == 0) return InvalidArgument(path.string() + " is empty or no file");
  if (size > kMaxTokenizerJsonBytes) {
    return InvalidArgument(path.string() + " is larger than " + std::to_string(kMaxTokenizerJsonBytes) +
                           " bytes");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return PermissionDenied(path.string() + " cannot be read");
  text->resize(size);
  file.read(text->data(), static_cast<std::streamsize>(size));
  if (file.gcount() != static_cast<std::streamsize>(size)) return DataLoss(path.string() + " ended early");
  return Status::Ok();
}

}  // namespace

Result<TokenizerFiles> ReadTokenizerFolder(const std::string& folder) {
  const std::filesystem::path path(folder);
  TokenizerFolderTexts texts;
  CONCLAVE_RETURN_IF_ERROR(ReadText(path / "tokenizer.json", true, &texts.tokenizer_json));
  CONCLAVE_RETURN_IF_ERROR(ReadText(path / "tokenizer_config.json", false, &texts.tokenizer_config_json));
  CONCLAVE_RETURN_IF_ERROR(ReadText(path / "generation_config.json", false, &texts.generation_config_json));
  CONCLAVE_RETURN_IF_ERROR(ReadText(path / "config.json", false, &texts.config_json));
  CONCLAVE_RETURN_IF_ERROR(ReadText(path / "chat_template.jinja", false, &texts.chat_template_jinja));
  Result<TokenizerFiles> files = ReadTokenizerJson(texts);
  if (!files.ok()) return files.status().Annotate(folder);
  return files;
}

}  // namespace conclave::tokenizer
