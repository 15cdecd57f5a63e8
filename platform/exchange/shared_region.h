#pragma once

#include <cstddef>
#include <memory>

#include <sys/types.h>

#include "base/result.h"

namespace conclave::platform {

/// Memory that two processes of one machine share. It has no name that others could find, and its size is
/// sealed, so that neither side can take pages away below the other's feet. Any thread may read the members.
class SharedRegion {
 public:
  /// Zeros; `bytes` is rounded up to whole pages. Errors: RESOURCE_EXHAUSTED.
  static Result<std::unique_ptr<SharedRegion>> Create(size_t bytes);

  /// Maps what another process created, by its process number and the number of its descriptor there. Works
  /// for processes of one user that see each other's numbers. Errors: UNAVAILABLE (it cannot be opened from
  /// here), INVALID_ARGUMENT (it is something else, not sealed, or larger than `most_bytes`).
  static Result<std::unique_ptr<SharedRegion>> OpenFrom(pid_t process, int descriptor, size_t most_bytes);

  ~SharedRegion();
  SharedRegion(const SharedRegion&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  /// What the other process opens it by, until CloseDescriptor.
  int descriptor() const { return descriptor_; }
  /// The memory stays.
  void CloseDescriptor();

 private:
  SharedRegion(int descriptor, std::byte* data, size_t size)
      : descriptor_(descriptor), data_(data), size_(size) {}
  static Result<std::unique_ptr<SharedRegion>> Map(int descriptor, size_t size);

  int descriptor_;
  std::byte* data_;
  size_t size_;
};

}  // namespace conclave::platform
