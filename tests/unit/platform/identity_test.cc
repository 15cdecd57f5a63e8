#include "platform/identity.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace conclave::platform {
namespace {

TEST(IdentityTest, RandomIdsAreDistinctIdentifiersInTheOrderOfTime) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(RandomId());
  EXPECT_EQ(ids.size(), 1000u);
  for (const std::string& id : ids) EXPECT_TRUE(id.size() == 26 && IsIdentifier(id, 26)) << id;
  const std::string before = RandomId();
  const int64_t now_ms = NowMs();
  while (NowMs() == now_ms) {
  }
  EXPECT_LT(before, RandomId());
}

TEST(IdentityTest, HexIsLowercase) { EXPECT_EQ(ToHex(std::string("\x00\xAB\xff", 3)), "00abff"); }

TEST(IdentityTest, IdentifiersAreShortPlainWords) {
  EXPECT_TRUE(IsIdentifier("a-Z_0.9", 7));
  for (const char* text : {"", "a b", "a\n", "\xc3\xa9", "a/b"}) EXPECT_FALSE(IsIdentifier(text, 10)) << text;
  EXPECT_FALSE(IsIdentifier("abc", 2));
}

}  // namespace
}  // namespace conclave::platform
