#include "engine/tensor/page_memory.h"

#include <algorithm>
#include <mutex>

#include <sys/mman.h>

namespace conclave::engine {
namespace {

constexpr int64_t kWeightAlignment = 64;
/// Pieces share a region of this size; larger ones get their own.
constexpr int64_t kRegionBytes = int64_t{64} << 20;

int64_t RoundUp(int64_t bytes, int64_t multiple) { return (bytes + multiple - 1) / multiple * multiple; }

/// The region that the next pieces come from, and how much of it is taken.
struct Current {
  std::mutex mutex;
  std::weak_ptr<PageMemory> region;  // guarded by mutex; weak: what nobody uses any more goes
  int64_t used = 0;                  // guarded by mutex
};

std::shared_ptr<std::byte[]> PieceOf(std::shared_ptr<PageMemory> region, int64_t offset) {
  std::byte* data = region->data() + offset;
  return {std::move(region), data};
}

}  // namespace

PageMemory PageMemory::Map(int64_t bytes) {
  PageMemory memory;
  if (bytes <= 0 || bytes > INT64_MAX - 2 * kHugePageBytes) return memory;
  const int64_t rounded = RoundUp(bytes, kHugePageBytes);
  // One page more, so that an aligned range lies inside; what is beside it is given back.
  const auto asked = static_cast<size_t>(rounded + kHugePageBytes);
  void* mapped =
      mmap(nullptr, asked, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return memory;
  auto* begin = static_cast<std::byte*>(mapped);
  const auto misaligned = static_cast<int64_t>(reinterpret_cast<uintptr_t>(begin) % kHugePageBytes);
  const int64_t before = misaligned == 0 ? 0 : kHugePageBytes - misaligned;
  if (before > 0) munmap(begin, static_cast<size_t>(before));
  munmap(begin + before + rounded, static_cast<size_t>(kHugePageBytes - before));
  memory.data_ = begin + before;
  memory.bytes_ = rounded;
  (void)madvise(memory.data_, static_cast<size_t>(rounded), MADV_HUGEPAGE);  // A wish: slower without.
  return memory;
}

PageMemory::~PageMemory() {
  if (data_ != nullptr) munmap(data_, static_cast<size_t>(bytes_));
}

std::shared_ptr<std::byte[]> AllocateWeights(int64_t bytes) {
  static Current current;
  if (bytes < 0 || bytes > INT64_MAX - 2 * kHugePageBytes) return nullptr;
  const int64_t rounded = std::max(RoundUp(bytes, kWeightAlignment), kWeightAlignment);
  if (rounded > kRegionBytes) {
    auto own = std::make_shared<PageMemory>(PageMemory::Map(rounded));
    return own->data() == nullptr ? nullptr : PieceOf(std::move(own), 0);
  }
  std::lock_guard lock(current.mutex);
  std::shared_ptr<PageMemory> region = current.region.lock();
  if (region == nullptr || current.used + rounded > region->bytes()) {
    region = std::make_shared<PageMemory>(PageMemory::Map(kRegionBytes));
    if (region->data() == nullptr) return nullptr;
    current.region = region;
    current.used = 0;
  }
  const int64_t offset = std::exchange(current.used, current.used + rounded);
  return PieceOf(std::move(region), offset);
}

}  // namespace conclave::engine
