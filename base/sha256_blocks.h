#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace conclave {

/// SHA-256's round constants: the first 32 bits of the fractional parts of the cube roots of the first 64
/// primes.
extern const std::array<uint32_t, 64> kSha256Constants;

/// Mixes `count` blocks of 64 bytes into the state.
using Sha256Blocks = void (*)(std::array<uint32_t, 8>& state, const std::byte* blocks, size_t count);

/// The plain implementation, for every machine.
void Sha256BlocksPortable(std::array<uint32_t, 8>& state, const std::byte* blocks, size_t count);

/// The one that uses x86's SHA instructions; nullptr when this machine has none.
Sha256Blocks Sha256BlocksX86();

}  // namespace conclave
