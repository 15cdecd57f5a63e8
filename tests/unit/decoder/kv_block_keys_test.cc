#include "services/decoder/kv_block_keys.h"

#include <numeric>
#include <set>

#include <gtest/gtest.h>

namespace conclave::decoder {
namespace {

constexpr engine::KvLayout kLayout{.layers = 2, .kv_heads = 2, .head_dim = 16};

std::vector<int32_t> Tokens(int64_t count) {
  std::vector<int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

TEST(KvBlockKeysTest, OneKeyForEachWholeBlockThatLaterTokensDoNotChange) {
  const KvBlockKeys keys(kLayout, "avx2");
  EXPECT_TRUE(keys.Of("salt", Tokens(31)).empty());
  const auto two = keys.Of("salt", Tokens(95));
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[0].size(), 32u);
  EXPECT_EQ(two[0], keys.Of("salt", Tokens(32))[0]);
  EXPECT_EQ(two[1], keys.Of("salt", Tokens(96))[1]);
}

TEST(KvBlockKeysTest, EverythingThatBitsDependOnChangesAllKeys) {
  std::vector<int32_t> other = Tokens(64);
  other[0] = 9;
  engine::KvLayout layers = kLayout, heads = kLayout, width = kLayout, full = kLayout, small = kLayout;
  layers.layers = 1;
  heads.kv_heads = 1;
  width.head_dim = 32;
  full.format = engine::KvFormat::kFloat32;
  small.format = engine::KvFormat::kInt8;
  std::set<std::string> all;
  size_t added = 0;
  const auto add = [&](const KvBlockKeys& keys, std::string_view salt, std::span<const int32_t> tokens) {
    for (const std::string& key : keys.Of(salt, tokens)) all.insert(key), ++added;
  };
  for (const engine::KvLayout& layout : {kLayout, layers, heads, width, full, small}) {
    add(KvBlockKeys(layout, "avx2"), "salt", Tokens(64));
  }
  add(KvBlockKeys(kLayout, "avx512"), "salt", Tokens(64));
  add(KvBlockKeys(kLayout, "avx2"), "", Tokens(64));
  add(KvBlockKeys(kLayout, "avx2"), "other", Tokens(64));
  add(KvBlockKeys(kLayout, "avx2"), "salt", other);
  EXPECT_EQ(added, 20u);
  EXPECT_EQ(all.size(), added);
}

}  // namespace
}  // namespace conclave::decoder
