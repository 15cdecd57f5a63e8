#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace conclave::engine {

/// A whole regular file mapped read-only; unmapped when destroyed. Movable; the bytes stay where they are.
/// Any thread may read. A file that another program shortens while it is mapped ends the process on access
/// (SIGBUS): model files are replaced by renaming, never edited in place.
class MappedFile {
 public:
  /// Errors: NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (empty, a folder, a device or pipe, too large),
  /// RESOURCE_EXHAUSTED (no address space or file descriptor).
  static Result<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_bytes_}; }
  /// Pages that were read do not count as this process's memory any more; reading them maps them again.
  void DropPages() const;
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, const std::byte* data, size_t size_bytes)
      : path_(std::move(path)), data_(data), size_bytes_(size_bytes) {}

  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_bytes_ = 0;
};

}  // namespace conclave::engine
