#include "engine/files/gguf_file.h"

#include "engine/files/gguf_header.h"
#include "engine/files/mapped_file.h"
#include "engine/files/tensor_directory.h"

namespace conclave::engine {
namespace {

class GgufFile : public ModelFile {
 public:
  GgufFile(MappedFile file, GgufMetadata metadata, TensorDirectory tensors)
      : file_(std::move(file)), metadata_(std::move(metadata)), tensors_(std::move(tensors)) {}

  const std::string& path() const override { return file_.path(); }
  const std::vector<TensorView>& tensors() const override { return tensors_.tensors(); }
  const TensorView* Find(std::string_view name) const override { return tensors_.Find(name); }
  const std::string* WhyUnusable(std::string_view name) const override { return tensors_.WhyUnusable(name); }
  const GgufMetadata& metadata() const override { return metadata_; }
  const std::string& config_json() const override { return config_json_; }
  void DropPages() const override { file_.DropPages(); }

 private:
  MappedFile file_;
  GgufMetadata metadata_;
  TensorDirectory tensors_;
  std::string config_json_;
};

TensorDirectory MakeDirectory(std::vector<GgufTensorInfo> infos, const std::byte* file) {
  TensorDirectory directory;
  for (GgufTensorInfo& info : infos) {
    if (!info.type->dtype) {
      directory.AddUnusable(std::move(info.name), "is stored as " + std::string(info.type->name));
      continue;
    }
    TensorView view;
    view.name = std::move(info.name);
    view.dtype = *info.type->dtype;
    view.rank = info.rank;
    view.shape = info.shape;
    view.data = file + info.data_offset;
    view.bytes = static_cast<int64_t>(info.data_bytes);
    directory.Add(std::move(view));
  }
  return directory;
}

}  // namespace

Result<std::unique_ptr<ModelFile>> OpenGgufFile(const std::string& path) {
  CONCLAVE_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  Result<GgufHeader> header = ReadGgufHeader(file.bytes());
  if (!header.ok()) return header.status().Annotate(path);
  TensorDirectory tensors = MakeDirectory(std::move(header->tensors), file.bytes().data());
  return std::unique_ptr<ModelFile>(
      std::make_unique<GgufFile>(std::move(file), std::move(header->metadata), std::move(tensors)));
}

}  // namespace conclave::engine
