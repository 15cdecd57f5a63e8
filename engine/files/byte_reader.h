#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace conclave::engine {

/// Reads little-endian numbers from the front of some bytes, never past their end. Every error names the
/// field and the offset where it begins. Does not own the bytes.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }

  /// INVALID_ARGUMENT "FIELD at byte OFFSET: problem".
  static Status Malformed(std::string_view field, uint64_t offset, std::string_view problem) {
    return InvalidArgument(std::string(field) + " at byte " + std::to_string(offset) + ": " +
                           std::string(problem));
  }

  /// The next number. Errors: INVALID_ARGUMENT (the file ends first).
  template <typename T>
  Result<T> Read(std::string_view field) {
    static_assert(std::is_arithmetic_v<T> && std::endian::native == std::endian::little);
    if (remaining() < sizeof(T)) return Ended(field, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof value);
    offset_ += sizeof value;
    return value;
  }

  /// The next `size` bytes, as text; points into the file.
  Result<std::string_view> ReadText(uint64_t size, std::string_view field) {
    if (remaining() < size) return Ended(field, size);
    const auto* text = reinterpret_cast<const char*>(bytes_.data() + offset_);
    offset_ += size;
    return std::string_view(text, size);
  }

 private:
  Status Ended(std::string_view field, uint64_t wanted) const {
    return Malformed(
        field, offset_,
        "needs " + std::to_string(wanted) + " bytes, the file has " + std::to_string(remaining()) + " left");
  }

  std::span<const std::byte> bytes_;
  uint64_t offset_ = 0;
};

}  // namespace conclave::engine
