#include "engine/files/safetensors_folder.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "engine/files/json_text.h"
#include "engine/files/limits.h"
#include "engine/files/mapped_file.h"
#include "engine/files/quoted.h"
#include "engine/files/safetensors_header.h"
#include "engine/files/tensor_directory.h"

namespace conclave::engine {
namespace {

using nlohmann::json;

constexpr const char* kConfigName = "config.json";
constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";

class SafetensorsFolder : public ModelFile {
 public:
  explicit SafetensorsFolder(std::string path) : path_(std::move(path)) {}

  const std::string& path() const override { return path_; }
  const std::vector<TensorView>& tensors() const override { return tensors_.tensors(); }
  const TensorView* Find(std::string_view name) const override { return tensors_.Find(name); }
  const std::string* WhyUnusable(std::string_view name) const override { return tensors_.WhyUnusable(name); }
  const ByteTensor* FindBytes(std::string_view name) const override {
    const auto found = bytes_.find(name);
    return found == bytes_.end() ? nullptr : &found->second;
  }
  const GgufMetadata& metadata() const override { return metadata_; }
  const std::string& config_json() const override { return config_json_; }
  void DropPages() const override {
    for (const MappedFile& file : files_) file.DropPages();
  }

  Status ReadConfig();
  Status AddSingle(const std::string& name);
  Status AddShards();

 private:
  /// Maps a file and adds the tensors that `keep` accepts.
  template <typename Keep>
  Status AddFile(const std::string& name, Keep keep);

  std::string Inside(const std::string& name) const { return path_ + "/" + name; }

  std::string path_;
  std::vector<MappedFile> files_;
  TensorDirectory tensors_;
  std::map<std::string, ByteTensor, std::less<>> bytes_;
  GgufMetadata metadata_;
  std::string config_json_;
};

/// The whole text of a small file.
Result<std::string> ReadText(const std::string& path, uint64_t max_bytes) {
  CONCLAVE_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  if (file.bytes().size() > max_bytes) {
    return InvalidArgument(Quoted(path) + " is larger than " + std::to_string(max_bytes) + " bytes");
  }
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

TensorView ToView(SafetensorsEntry entry, const std::byte* file) {
  TensorView view;
  view.name = std::move(entry.name);
  view.dtype = *entry.dtype;
  view.rank = entry.rank;
  view.shape = entry.shape;
  view.data = file + entry.data_offset;
  view.bytes = static_cast<int64_t>(entry.data_bytes);
  return view;
}

Status SafetensorsFolder::ReadConfig() {
  Result<std::string> text = ReadText(Inside(kConfigName), kMaxConfigBytes);
  if (!text.ok()) return text.status();
  config_json_ = std::move(text).value();
  return Status::Ok();
}

template <typename Keep>
Status SafetensorsFolder::AddFile(const std::string& name, Keep keep) {
  CONCLAVE_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(Inside(name)));
  Result<std::vector<SafetensorsEntry>> entries = ReadSafetensorsHeader(file.bytes());
  if (!entries.ok()) return entries.status().Annotate(Inside(name));
  for (SafetensorsEntry& entry : *entries) {
    if (!keep(entry.name)) continue;
    if (entry.dtype) {
      tensors_.Add(ToView(std::move(entry), file.bytes().data()));
    } else {
      if (entry.is_bytes) {
        const std::byte* data = file.bytes().data() + entry.data_offset;
        bytes_[entry.name] = {.rank = entry.rank, .shape = entry.shape, .data = data};
      }
      tensors_.AddUnusable(std::move(entry.name), std::move(entry.unusable));
    }
  }
  files_.push_back(std::move(file));
  return Status::Ok();
}

Status SafetensorsFolder::AddSingle(const std::string& name) {
  return AddFile(name, [](const std::string&) { return true; });
}

/// A shard's name must be one of the folder's own files: an index must not reach anything else.
bool IsPlainName(const std::string& name) {
  constexpr std::string_view kSuffix = ".safetensors";
  return name.size() > kSuffix.size() && name.size() < 256 && name.ends_with(kSuffix) &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos &&
         !name.starts_with('.');
}

/// The tensors of an index by the shard that holds them.
using ShardTensors = std::map<std::string, std::vector<std::string>>;

Result<ShardTensors> ReadIndex(const std::string& text) {
  CONCLAVE_ASSIGN_OR_RETURN(const json index, ParseJson(text));
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object() || map->empty()) {
    return InvalidArgument("'weight_map' is missing, empty or not an object");
  }
  if (map->size() > kMaxTensors) return InvalidArgument("'weight_map' names too many tensors");
  ShardTensors shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string() || !IsPlainName(shard.get_ref<const std::string&>())) {
      return InvalidArgument("'weight_map' puts " + Quoted(tensor) +
                             " into something that is not a .safetensors file of the folder");
    }
    shards[shard.get_ref<const std::string&>()].push_back(tensor);
    if (shards.size() > kMaxShards) return InvalidArgument("'weight_map' names too many files");
  }
  return shards;
}

Status SafetensorsFolder::AddShards() {
  CONCLAVE_ASSIGN_OR_RETURN(const std::string text, ReadText(Inside(kIndexName), kMaxShardIndexBytes));
  Result<ShardTensors> shards = ReadIndex(text);
  if (!shards.ok()) return shards.status().Annotate(Inside(kIndexName));
  for (const auto& [shard, names] : *shards) {
    // JSON objects iterate in the order of their keys, so each shard's names are sorted.
    const auto listed = [&names = names](const std::string& name) {
      return std::binary_search(names.begin(), names.end(), name);
    };
    CONCLAVE_RETURN_IF_ERROR(AddFile(shard, listed));
    for (const std::string& name : names) {
      if (Find(name) != nullptr || WhyUnusable(name) != nullptr) continue;
      return InvalidArgument(Inside(kIndexName) + ": 'weight_map' puts " + Quoted(name) + " into " +
                             Quoted(shard) + ", which does not hold it");
    }
  }
  return Status::Ok();
}

}  // namespace

Result<std::unique_ptr<ModelFile>> OpenSafetensorsFolder(const std::string& path) {
  auto folder = std::make_unique<SafetensorsFolder>(path);
  CONCLAVE_RETURN_IF_ERROR(folder->ReadConfig());
  std::error_code ignored;
  const std::filesystem::path base(path);
  if (std::filesystem::exists(base / kSingleName, ignored)) {
    CONCLAVE_RETURN_IF_ERROR(folder->AddSingle(kSingleName));
  } else if (std::filesystem::exists(base / kIndexName, ignored)) {
    CONCLAVE_RETURN_IF_ERROR(folder->AddShards());
  } else {
    return NotFound(Quoted(path) + " holds neither " + kSingleName + " nor " + kIndexName);
  }
  return std::unique_ptr<ModelFile>(std::move(folder));
}

}  // namespace conclave::engine
