#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/files/gguf_writer.h"
#include "engine/quantise/convert_rows.h"
#include "engine/tensor/tensor_view.h"

namespace conclave::engine {

/// Rows of a tensor to write.
struct SourcePart {
  TensorView view;
  std::string source_name;  ///< as the source's file has it, and so an Importance
};

/// A tensor to write, and where its numbers come from.
struct SourceTensor {
  TensorView view;                ///< named and shaped as it is written
  RowOrder order;                 ///< of the rows of each part
  std::vector<SourcePart> parts;  ///< one below the other
};

/// A model that is to be written as a GGUF file: its tensors in the order to write them, and its key-value
/// pairs without those that quantising sets (general.file_type, general.quantization_version). Immutable but
/// for `pairs`, which the caller may add to.
struct QuantiseSource {
  std::string path;
  std::vector<SourceTensor> tensors;
  GgufPairs pairs;
  uint64_t alignment = 32;  ///< of tensor data, in bytes; what `pairs` say about it
  uint64_t bytes = 0;       ///< of the source's weights
  int64_t vocabulary = 0;   ///< rows of a folder's embedding table; 0 for a GGUF file, which names its tokens
  std::shared_ptr<const void> owner;  ///< keeps the memory that `tensors` point into
};

/// Adds the pairs that say in what format most matrices are.
void AddFormat(DType matrices, GgufPairs& pairs);

/// Whether the file `out` would be the source, or one of its files. Errors: INVALID_ARGUMENT.
Status CheckKeepsSource(const std::string& source, const std::string& out);

/// A GGUF file as it stands. `requantise`: whether tensors that are quantised already are allowed. Errors:
/// those of MappedFile and ReadGgufHeader; FAILED_PRECONDITION (quantised, and `requantise` is off),
/// UNIMPLEMENTED (a tensor in a format that the engine cannot read; one part of a split model).
Result<QuantiseSource> OpenGgufSource(const std::string& path, bool requantise);

/// A folder with config.json and safetensors, spelled as GGUF (DescribeAsGguf). Its pairs lack the
/// tokenizer's, which the caller adds. Errors: those of OpenModelFile, DescribeModel and DescribeAsGguf.
Result<QuantiseSource> OpenFolderSource(const std::string& path);

}  // namespace conclave::engine
