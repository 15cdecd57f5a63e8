#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/files/new_file.h"
#include "engine/tensor/dtype.h"

namespace conclave::engine {

/// Key-value pairs for the header of a GGUF file, encoded in the order they are added. Keys must differ; the
/// caller checks. Texts are UTF-8.
class GgufPairs {
 public:
  /// The bytes of a pair of another file (GgufPairSpan).
  void AddEncoded(std::span<const std::byte> pair);
  /// All pairs of another header.
  void AddAll(const GgufPairs& others);
  void AddUint32(std::string_view key, uint32_t value);
  void AddFloat32(std::string_view key, float value);
  void AddBool(std::string_view key, bool value);
  void AddText(std::string_view key, std::string_view value);
  void AddTexts(std::string_view key, const std::vector<std::string>& values);
  void AddInt32s(std::string_view key, const std::vector<int32_t>& values);

  /// The same pairs under other keys: `key_of` gives a pair's new one, or none to leave the pair out.
  GgufPairs Renamed(const std::function<std::optional<std::string>(std::string_view key)>& key_of) const;

  uint64_t count() const { return begins_.size(); }
  const std::string& bytes() const { return bytes_; }

 private:
  void BeginPair(std::string_view key);
  void BeginArray(std::string_view key, uint32_t type, size_t count);

  std::string bytes_;
  std::vector<size_t> begins_;  ///< of the pairs, in bytes_
};

/// A tensor of the file to write.
struct GgufOutputTensor {
  std::string name;
  DType dtype = DType::kF32;
  int rank = 0;
  std::array<int64_t, 4> shape{};  ///< Outermost first.

  /// Errors: INVALID_ARGUMENT (rows are not whole blocks, a size that is not positive or overflows).
  Result<uint64_t> Bytes() const;
};

/// Writes a GGUF file, version 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): the header at
/// once, then tensor data in the order of the directory, in parts of any size. As NewFile, the file appears
/// under its name when it is whole. Used by one thread.
class GgufWriter {
 public:
  /// `alignment`: what 'general.alignment' among the pairs says, or 32. Errors: INVALID_ARGUMENT (a tensor's
  /// shape, an alignment that readers refuse), and those of NewFile::Create.
  static Result<GgufWriter> Create(std::string path, const GgufPairs& pairs,
                                   const std::vector<GgufOutputTensor>& tensors, uint64_t alignment,
                                   bool replace);

  /// The next bytes of the tensor that is being written; the last of its bytes makes the next one current.
  /// Errors: INTERNAL (more bytes than the current tensor lacks), RESOURCE_EXHAUSTED (no room).
  Status Append(std::span<const std::byte> bytes);

  /// The size of the whole file.
  uint64_t file_bytes() const { return file_bytes_; }

  /// Errors: INTERNAL (a tensor lacks bytes), and those of NewFile::Commit.
  Status Finish();

 private:
  GgufWriter(NewFile file, std::vector<uint64_t> tensor_bytes, uint64_t alignment, uint64_t file_bytes)
      : file_(std::move(file)),
        tensor_bytes_(std::move(tensor_bytes)),
        alignment_(alignment),
        file_bytes_(file_bytes) {}
  Status Pad();

  NewFile file_;
  std::vector<uint64_t> tensor_bytes_;
  uint64_t alignment_;
  uint64_t file_bytes_;
  size_t current_ = 0;     ///< the tensor that is being written
  uint64_t appended_ = 0;  ///< bytes of it so far
};

}  // namespace conclave::engine
