#include "base/sha256.h"

#include <algorithm>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/sha256_blocks.h"

namespace conclave {
namespace {

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string HexOf(std::string_view text) { return Sha256::Hex(Sha256::Of(Bytes(text))); }

// FIPS 180-4's examples and NIST's long message.
TEST(Sha256Test, PublishedVectors) {
  EXPECT_EQ(HexOf(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(HexOf("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HexOf("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(HexOf(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256Test, PiecesOfAnySizeGiveTheSameDigest) {
  std::string text(1000, '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 + i / 256);
  for (const size_t length : {0u, 1u, 55u, 56u, 63u, 64u, 65u, 119u, 120u, 128u, 1000u}) {
    const std::string_view whole = std::string_view(text).substr(0, length);
    const std::string expected = HexOf(whole);
    for (const size_t piece : {1u, 3u, 63u, 64u, 65u, 500u}) {
      Sha256 hash;
      for (size_t at = 0; at < whole.size(); at += piece) hash.Update(Bytes(whole.substr(at, piece)));
      EXPECT_EQ(Sha256::Hex(hash.Finish()), expected) << length << " in pieces of " << piece;
    }
  }
}

TEST(Sha256Test, InstructionsAgreeWithThePlainImplementation) {
  const Sha256Blocks fast = Sha256BlocksX86();
  if (fast == nullptr) GTEST_SKIP() << "this processor has no SHA instructions";
  std::array<std::byte, 64 * 5> blocks;
  uint32_t random = 1;
  for (std::byte& byte : blocks) {
    random = random * 1664525 + 1013904223;
    byte = static_cast<std::byte>(random >> 24);
  }
  std::array<uint32_t, 8> one = {1, 2, 3, 4, 5, 6, 7, 8};
  std::array<uint32_t, 8> other = one;
  fast(one, blocks.data(), 5);
  Sha256BlocksPortable(other, blocks.data(), 5);
  EXPECT_EQ(one, other);
}

}  // namespace
}  // namespace conclave
