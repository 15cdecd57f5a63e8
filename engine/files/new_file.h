#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace conclave::engine {

/// A file that appears under its name only when it is whole: written beside it, flushed to the disk, renamed.
/// Until Commit the final name is untouched; a NewFile that is destroyed before leaves nothing behind (a
/// killed process leaves ".NAME.PID.partial"). Used by one thread.
class NewFile {
 public:
  /// `replace`: whether Commit may replace a file of that name. `size_bytes`: how large it will be; room is
  /// reserved where the file system can do that, so that a full disk is known before the work is done.
  /// Errors: ALREADY_EXISTS, NOT_FOUND (no such folder), PERMISSION_DENIED, RESOURCE_EXHAUSTED (no room).
  static Result<NewFile> Create(std::string path, uint64_t size_bytes, bool replace);

  /// Where a file stands until it is committed, for who wants to remove it when a signal ends the process.
  static std::string PartialPath(const std::string& path);

  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  /// The next bytes. Errors: RESOURCE_EXHAUSTED (no room).
  Status Append(std::span<const std::byte> bytes);

  uint64_t size_bytes() const { return written_ + buffer_.size(); }

  /// Flushes to the disk and gives the file its name. Errors: as Create and Append.
  Status Commit();

 private:
  NewFile(std::string path, std::string partial, int descriptor, bool replace)
      : path_(std::move(path)), partial_(std::move(partial)), descriptor_(descriptor), replace_(replace) {}
  Status Reserve(uint64_t size_bytes);
  Status Write(std::span<const std::byte> bytes);
  Status Rename();
  void Close();

  std::string path_;
  std::string partial_;  ///< empty once committed or moved from
  int descriptor_;
  bool replace_;
  uint64_t written_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace conclave::engine
