#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace conclave::engine {

/// Two cache lines: processors fetch them in pairs.
inline constexpr std::size_t kBufferAlignment = 128;

template <typename T>
struct BufferAllocator {
  using value_type = T;

  BufferAllocator() = default;
  template <typename U>
  BufferAllocator(const BufferAllocator<U>&) {}

  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(kBufferAlignment)));
  }
  void deallocate(T* data, std::size_t count) {
    ::operator delete(data, count * sizeof(T), std::align_val_t(kBufferAlignment));
  }
  friend bool operator==(const BufferAllocator&, const BufferAllocator&) { return true; }
};

/// A vector whose rows of whole cache lines share none with their neighbours: threads that write rows or
/// parts of them beside each other do not take the lines from one another.
template <typename T>
using AlignedVector = std::vector<T, BufferAllocator<T>>;

}  // namespace conclave::engine
