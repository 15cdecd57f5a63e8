#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace conclave::engine {

/// The size of the pages that PageMemory asks for.
inline constexpr int64_t kHugePageBytes = int64_t{2} << 20;

/// Zeroed memory in an address range of its own, which the system is asked to back with huge pages: to read
/// tens of megabytes a token through pages of 4 KiB costs as much time in page tables as in memory. Taken
/// from the system page by page as it is first written.
class PageMemory {
 public:
  PageMemory() = default;
  /// Empty when the system gives no address space.
  static PageMemory Map(int64_t bytes);
  ~PageMemory();
  PageMemory(PageMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  PageMemory& operator=(PageMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

/// A piece of PageMemory that is shared with other pieces of this function, so that many small matrices lie
/// in few huge pages; the whole goes when its last piece does. Zeroed, aligned to 64 bytes. Null when there
/// is no memory. Any thread may call.
std::shared_ptr<std::byte[]> AllocateWeights(int64_t bytes);

}  // namespace conclave::engine
