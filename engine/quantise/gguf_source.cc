#include <utility>

#include "engine/files/gguf_header.h"
#include "engine/files/mapped_file.h"
#include "engine/files/quoted.h"
#include "engine/quantise/quantise_source.h"

namespace conclave::engine {
namespace {

/// What quantising sets anew; how the source was quantised is not how the new file is.
bool IsReplaced(const std::string& key) {
  return key == "general.file_type" || key == "general.quantization_version" ||
         key.starts_with("quantize.imatrix.");
}

TensorView ViewOf(const GgufTensorInfo& info, const MappedFile& file) {
  TensorView view;
  view.name = info.name;
  view.dtype = *info.type->dtype;
  view.rank = info.rank;
  view.shape = info.shape;
  view.data = file.bytes().data() + info.data_offset;
  view.bytes = static_cast<int64_t>(info.data_bytes);
  return view;
}

Status CheckHeader(const GgufHeader& header, bool requantise) {
  if (header.metadata.Int("split.count").value_or(1) > 1) {
    return Unimplemented(
        "metadata key 'split.count': this is one part of a split model; join the parts first");
  }
  for (const GgufTensorInfo& tensor : header.tensors) {
    if (!tensor.type->dtype) {
      return Unimplemented("tensor " + Quoted(tensor.name) + " is stored as " +
                           std::string(tensor.type->name) + ", which cannot be read");
    }
    if (!IsQuantised(*tensor.type->dtype) || requantise) continue;
    return FailedPrecondition("tensor " + Quoted(tensor.name) + " is quantised already (" +
                              std::string(tensor.type->name) +
                              "): errors add up, so start from the float model, or allow it (--requantize)");
  }
  return Status::Ok();
}

}  // namespace

Result<QuantiseSource> OpenGgufSource(const std::string& path, bool requantise) {
  CONCLAVE_ASSIGN_OR_RETURN(MappedFile opened, MappedFile::Open(path));
  const auto file = std::make_shared<const MappedFile>(std::move(opened));
  const Result<GgufHeader> header = ReadGgufHeader(file->bytes());
  if (!header.ok()) return header.status().Annotate(path);
  if (const Status status = CheckHeader(*header, requantise); !status.ok()) return status.Annotate(path);
  QuantiseSource source{
      .path = path, .alignment = header->alignment, .bytes = file->bytes().size(), .owner = file};
  for (const GgufTensorInfo& tensor : header->tensors) {
    const TensorView view = ViewOf(tensor, *file);
    source.tensors.push_back({.view = view, .parts = {{view, view.name}}});
  }
  for (const GgufPairSpan& pair : header->pairs) {
    if (!IsReplaced(pair.key)) source.pairs.AddEncoded(file->bytes().subspan(pair.offset, pair.bytes));
  }
  return source;
}

}  // namespace conclave::engine
