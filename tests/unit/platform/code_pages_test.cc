#include "platform/code_pages.h"

#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace conclave::platform {
namespace {

/// This process' pages that files are behind.
int64_t ResidentFilePages() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0;
  int64_t resident = 0;
  int64_t shared = 0;
  file >> size >> resident >> shared;
  return shared;
}

int Twice(int x) { return 2 * x; }
int Thrice(int x) { return 3 * x; }

/// The loader writes the addresses here before main.
int (*const volatile kFunctions[])(int) = {Twice, Thrice};

TEST(CodePagesTest, GivesPagesBackAndEverythingGoesOn) {
  int written = 1;
  static int counter = 7;
  counter += written;
  const int64_t before = ResidentFilePages();
  EXPECT_GT(DropCodePages(), 0);
  const int64_t after = ResidentFilePages();
  EXPECT_LT(after, before / 2);

  EXPECT_EQ(counter, 8);
  EXPECT_EQ(kFunctions[0](21) + kFunctions[1](1), 45);
  EXPECT_EQ(std::to_string(4096) + " bytes", "4096 bytes");
  EXPECT_THROW(std::stoi("none"), std::invalid_argument);
  EXPECT_GT(DropCodePages(), 0);
}

}  // namespace
}  // namespace conclave::platform
