#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/files/gguf_metadata.h"
#include "engine/tensor/tensor_view.h"

namespace conclave::engine {

/// A tensor of bytes that are numbers only together with another one (MXFP4 in two tensors). Row-major; valid
/// as long as its file.
struct ByteTensor {
  int rank = 0;
  std::array<int64_t, 4> shape{};
  const std::byte* data = nullptr;
};

/// A model's weights on disk, mapped read-only: one GGUF file, or a folder with config.json and one or more
/// .safetensors. Immutable after opening; every thread may read it. Every offset, size, count and string was
/// checked when it was opened.
class ModelFile {
 public:
  virtual ~ModelFile() = default;

  /// Where it was opened, for messages.
  virtual const std::string& path() const = 0;

  /// All tensors in file order, and one by its name as the file spells it (nullptr when there is none).
  virtual const std::vector<TensorView>& tensors() const = 0;
  virtual const TensorView* Find(std::string_view name) const = 0;
  /// The same for one that must be there. Errors: INVALID_ARGUMENT (missing).
  Result<const TensorView*> Require(const std::string& name) const;

  /// For a tensor that the file holds in a form this engine cannot compute with (Find returns nullptr): why,
  /// for example "is stored as IQ2_XS". nullptr for every other name.
  virtual const std::string* WhyUnusable(std::string_view /*name*/) const { return nullptr; }

  /// A tensor of unsigned bytes, which is no matrix to Find. nullptr: there is none of that name.
  virtual const ByteTensor* FindBytes(std::string_view /*name*/) const { return nullptr; }

  /// GGUF's key-value pairs; empty for safetensors.
  virtual const GgufMetadata& metadata() const = 0;

  /// The text of config.json; empty for GGUF.
  virtual const std::string& config_json() const = 0;

  /// Gives the memory of what was read so far back to the system. What is read again comes from the file (or
  /// the system's cache of it).
  virtual void DropPages() const = 0;
};

/// Opens a .gguf file, or a folder with config.json and model.safetensors, or with
/// model.safetensors.index.json and the shards it names. Tensors in formats the engine lacks do not hinder
/// opening, only using them. Errors: NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (malformed: names the
/// field and its offset), UNIMPLEMENTED (a version or byte order of GGUF, by name), RESOURCE_EXHAUSTED (no
/// address space left for the mapping).
Result<std::unique_ptr<ModelFile>> OpenModelFile(const std::string& path);

}  // namespace conclave::engine
