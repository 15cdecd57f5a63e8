#include "engine/files/model_hash.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <vector>

#include <sys/stat.h>

#include "base/sha256.h"
#include "engine/files/limits.h"
#include "engine/files/mapped_file.h"
#include "engine/files/quoted.h"

namespace conclave::engine {
namespace {

namespace fs = std::filesystem;

bool BelongsToModel(const std::string& name) {
  return name == "config.json" || name == "model.safetensors.index.json" || name.ends_with(".safetensors");
}

/// The names of the files that make up the model in a folder, sorted.
Result<std::vector<std::string>> ModelFilesIn(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    if (!BelongsToModel(name)) continue;
    if (names.size() > kMaxShards + 2) return InvalidArgument(Quoted(folder) + " holds too many model files");
    names.push_back(std::move(name));
  }
  if (error) return InvalidArgument("cannot list " + Quoted(folder) + ": " + error.message());
  if (names.empty()) return InvalidArgument(Quoted(folder) + " holds no model");
  std::ranges::sort(names);
  return names;
}

Result<std::string> HashFile(const std::string& path) {
  CONCLAVE_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  return Sha256::Hex(Sha256::Of(file.bytes()));
}

Status AddFile(const std::string& path, ModelHashKey& key) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return NotFound("cannot find " + Quoted(path));
  const int64_t modified_ns = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  key.size_bytes += static_cast<uint64_t>(info.st_size);
  key.modified_ns = std::max(key.modified_ns, modified_ns);
  return Status::Ok();
}

bool IsFolder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

}  // namespace

Result<ModelHashKey> ModelHashKeyOf(const std::string& path) {
  ModelHashKey key;
  key.path = path;
  if (!IsFolder(path)) {
    CONCLAVE_RETURN_IF_ERROR(AddFile(path, key));
    return key;
  }
  CONCLAVE_ASSIGN_OR_RETURN(const auto names, ModelFilesIn(path));
  for (const std::string& name : names) CONCLAVE_RETURN_IF_ERROR(AddFile(path + "/" + name, key));
  return key;
}

Result<std::string> HashModel(const std::string& path) {
  if (!IsFolder(path)) return HashFile(path);
  CONCLAVE_ASSIGN_OR_RETURN(const auto names, ModelFilesIn(path));
  std::string lines;
  for (const std::string& name : names) {
    CONCLAVE_ASSIGN_OR_RETURN(const std::string hash, HashFile(path + "/" + name));
    lines += hash + "  " + name + "\n";
  }
  return Sha256::Hex(Sha256::Of(std::as_bytes(std::span(lines))));
}

}  // namespace conclave::engine
