#include "services/decoder/generation_config.h"

#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

namespace conclave::decoder {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kMostConfigBytes = 1 << 20;
/// For the range check: no recommendation depends on the vocabulary's size.
constexpr int64_t kAnyVocabulary = 1;

/// Sets `value` where the file names a number. Errors: INVALID_ARGUMENT (anything else but null).
template <typename T>
Status ReadNumber(const nlohmann::json& config, const char* key, T& value) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return Status::Ok();
  const bool fits = std::is_integral_v<T> ? found->is_number_integer() : found->is_number();
  if (!fits)
    return InvalidArgument(std::string(key) + " is of the type " + found->type_name() +
                           "; a number is needed");
  value = found->get<T>();
  return Status::Ok();
}

Result<engine::SamplingParams> ReadParams(const nlohmann::json& config) {
  if (!config.is_object()) return InvalidArgument("it holds no JSON object");
  engine::SamplingParams params;
  CONCLAVE_RETURN_IF_ERROR(ReadNumber(config, "temperature", params.temperature));
  CONCLAVE_RETURN_IF_ERROR(ReadNumber(config, "top_k", params.top_k));
  CONCLAVE_RETURN_IF_ERROR(ReadNumber(config, "top_p", params.top_p));
  CONCLAVE_RETURN_IF_ERROR(ReadNumber(config, "min_p", params.min_p));
  CONCLAVE_RETURN_IF_ERROR(ReadNumber(config, "repetition_penalty", params.repetition_penalty));
  const auto sample = config.find("do_sample");
  if (sample != config.end() && *sample == false) params.temperature = 0.0;
  CONCLAVE_RETURN_IF_ERROR(engine::Validate(params, kAnyVocabulary));
  return params;
}

}  // namespace

Result<engine::SamplingParams> ReadGenerationConfig(const std::string& model_path) {
  const fs::path model(model_path);
  const fs::path file = (fs::is_directory(model) ? model : model.parent_path()) / "generation_config.json";
  std::error_code missing;
  const uintmax_t bytes = fs::file_size(file, missing);
  if (missing) return engine::SamplingParams{};
  if (bytes > kMostConfigBytes) {
    return InvalidArgument(file.string() + " has " + std::to_string(bytes) + " bytes; at most " +
                           std::to_string(kMostConfigBytes) + " are read");
  }
  std::ifstream in(file);
  auto params = ReadParams(nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false));
  if (!params.ok()) return params.status().Annotate(file.string());
  return params;
}

}  // namespace conclave::decoder
