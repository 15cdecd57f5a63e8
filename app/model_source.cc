#include "app/model_source.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <vector>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "app/json_line.h"
#include "engine/files/model_hash.h"

namespace conclave::app {
namespace {

namespace fs = std::filesystem;

bool IsModelFolder(const fs::path& path) { return fs::is_regular_file(path / "config.json"); }

bool IsGguf(const fs::path& path) { return path.extension() == ".gguf" && fs::is_regular_file(path); }

/// The model in a folder of `home`/models: config.json's folder itself, or the only .gguf in it.
fs::path InModelFolder(const fs::path& folder) {
  if (IsModelFolder(folder)) return folder;
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (IsGguf(entry.path())) found.push_back(entry.path());
  }
  return found.size() == 1 ? found.front() : fs::path();
}

std::string KnownModels(const fs::path& models) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(models, ignored))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

Result<fs::path> ResolvePath(const platform::Config& config) {
  const fs::path named(config.model);
  if (IsGguf(named) || IsModelFolder(named)) return named;
  const fs::path models = config.home / "models";
  const bool plain_name =
      config.model.find('/') == std::string::npos && config.model != "." && config.model != "..";
  if (plain_name) {
    const fs::path found = InModelFolder(models / config.model);
    if (!found.empty()) return found;
    if (IsGguf(models / config.model)) return models / config.model;
  } else if (fs::exists(named)) {
    return InvalidArgument("'" + config.model + "' is neither a .gguf file nor a folder with config.json");
  }
  return NotFound("there is no model '" + config.model + "' (in " + models.string() + ": " +
                  KnownModels(models) + "); './conclave setup' fetches the default one");
}

/// Remembered hashes: {"path": {"size_bytes", "modified_ns", "hash"}}. Losing the file costs one reading of
/// the model.
nlohmann::json ReadCache(const fs::path& file) {
  std::ifstream in(file);
  nlohmann::json cache = nlohmann::json::parse(in, nullptr, false);
  return cache.is_object() ? cache : nlohmann::json::object();
}

void WriteCache(const fs::path& file, const nlohmann::json& cache) {
  std::error_code ignored;
  fs::create_directories(file.parent_path(), ignored);
  const fs::path fresh = file.string() + "." + std::to_string(getpid());
  {
    std::ofstream out(fresh);
    out << JsonLine(cache);
    if (!out.flush()) return;
  }
  fs::rename(fresh, file, ignored);
}

Result<std::string> HashOf(const fs::path& path, const fs::path& cache_file) {
  CONCLAVE_ASSIGN_OR_RETURN(const engine::ModelHashKey key,
                            engine::ModelHashKeyOf(fs::absolute(path).lexically_normal().string()));
  nlohmann::json cache = ReadCache(cache_file);
  const auto entry = cache.find(key.path);
  if (entry != cache.end() && entry->is_object() &&
      entry->value("size_bytes", nlohmann::json()) == key.size_bytes &&
      entry->value("modified_ns", nlohmann::json()) == key.modified_ns) {
    const nlohmann::json hash = entry->value("hash", nlohmann::json());
    if (hash.is_string()) return hash.get<std::string>();
  }
  CONCLAVE_ASSIGN_OR_RETURN(const std::string hash, engine::HashModel(key.path));
  cache[key.path] = {{"size_bytes", key.size_bytes}, {"modified_ns", key.modified_ns}, {"hash", hash}};
  WriteCache(cache_file, cache);
  return hash;
}

}  // namespace

Result<platform::ModelSource> FindModel(const platform::Config& config) {
  CONCLAVE_ASSIGN_OR_RETURN(const fs::path path, ResolvePath(config));
  CONCLAVE_ASSIGN_OR_RETURN(std::string hash, HashOf(path, config.home / "cache" / "model_hashes.json"));
  const bool is_name = config.model.find('/') == std::string::npos && !IsGguf(config.model);
  const std::string name = is_name ? config.model : path.stem().string();
  return platform::ModelSource{.name = name, .path = path.string(), .hash = std::move(hash)};
}

}  // namespace conclave::app
