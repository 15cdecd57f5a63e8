#include "app/convert_source.h"

#include <filesystem>
#include <utility>

#include "app/model_source.h"
#include "app/read_file.h"
#include "services/tokenizer/gguf_tokenizer_pairs.h"
#include "services/tokenizer/model_tokenizer.h"
#include "services/tokenizer/vocabulary_json.h"

namespace conclave::app {

Result<std::string> ConvertSourcePath(const std::string& in, const platform::Config& config) {
  if (std::filesystem::exists(in)) return in;
  platform::Config named = config;
  named.model = in;
  CONCLAVE_ASSIGN_OR_RETURN(const platform::ModelSource source, FindModel(named));
  return source.path;
}

Result<engine::QuantiseSource> OpenConvertSource(const std::string& in, bool requantise) {
  if (!std::filesystem::is_directory(in)) {
    if (!in.ends_with(".safetensors")) return engine::OpenGgufSource(in, requantise);
    return InvalidArgument("give the folder that holds '" + in + "', its config.json and its tokenizer.json");
  }
  CONCLAVE_ASSIGN_OR_RETURN(engine::QuantiseSource source, engine::OpenFolderSource(in));
  CONCLAVE_ASSIGN_OR_RETURN(tokenizer::TokenizerFiles files, tokenizer::ReadTokenizerFolder(in));
  const auto pairs = tokenizer::TokenizerAsGguf(std::move(files), source.vocabulary);
  if (!pairs.ok()) return pairs.status().Annotate(in);
  source.pairs.AddAll(*pairs);
  return source;
}

Status CheckConvertPaths(const std::string& in, const std::string& out, bool force) {
  std::error_code ignored;
  if (std::filesystem::equivalent(in, out, ignored)) {
    return InvalidArgument("'" + out + "' is the model that is read; give another file to write");
  }
  if (!force && std::filesystem::exists(out)) {
    return AlreadyExists("'" + out + "' exists already; --force replaces it");
  }
  return Status::Ok();
}

Result<std::vector<int32_t>> CalibrationTokens(const std::string& text_path, const std::string& in) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(text_path));
  CONCLAVE_ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::LoadModelTokenizer(in));
  return tokenizer->Encode(text, {});
}

}  // namespace conclave::app
