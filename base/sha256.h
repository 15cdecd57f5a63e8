#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace conclave {

/// SHA-256 (FIPS 180-4) of bytes that arrive in pieces. Uses the processor's SHA instructions when it has
/// them. One object belongs to one thread.
class Sha256 {
 public:
  using Digest = std::array<uint8_t, 32>;

  /// Adds bytes; pieces may have any size.
  void Update(std::span<const std::byte> bytes);

  /// The digest of everything added. Call once, last.
  Digest Finish();

  /// The digest of `bytes` in one call, and as 64 lower-case hexadecimal digits.
  static Digest Of(std::span<const std::byte> bytes);
  static std::string Hex(const Digest& digest);

 private:
  static constexpr size_t kBlockBytes = 64;

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, kBlockBytes> pending_{};
  size_t pending_bytes_ = 0;
  uint64_t total_bytes_ = 0;
};

}  // namespace conclave
