#include "engine/parallel/processors.h"

#include <fstream>
#include <string>

#include <sched.h>
#include <unistd.h>

#include "gtest/gtest.h"
#include "tests/unit/engine/parallel/one_processor.h"

namespace conclave::engine {
namespace {

namespace fs = std::filesystem;

class ProcessorsTest : public ::testing::Test {
 protected:
  ProcessorsTest() {
    std::string pattern = (fs::temp_directory_path() / "conclave_processors_XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~ProcessorsTest() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  std::optional<double> Quota(const std::string& membership) {
    Write("membership", membership);
    return CgroupProcessors(root_ / "membership", root_);
  }

  fs::path root_;
};

TEST_F(ProcessorsTest, NoFilesMeanNoQuota) {
  EXPECT_EQ(CgroupProcessors(root_ / "missing", root_), std::nullopt);
  EXPECT_EQ(Quota("0::/a/b\n"), std::nullopt);
}

TEST_F(ProcessorsTest, VersionTwoTakesTheTightestAncestor) {
  Write("a/cpu.max", "150000 100000\n");
  Write("a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(Quota("0::/a/b\n"), 1.5);
  Write("a/b/cpu.max", "50000 100000\n");
  EXPECT_EQ(Quota("0::/a/b\n"), 0.5);
  EXPECT_EQ(Quota("0::/a\n"), 1.5);
}

TEST_F(ProcessorsTest, TheRootOfANamespaceMayHaveAQuota) {
  Write("cpu.max", "300000 100000\n");
  EXPECT_EQ(Quota("0::/\n"), 3.0);
}

TEST_F(ProcessorsTest, VersionOneReadsQuotaAndPeriod) {
  Write("cpu/box/cpu.cfs_quota_us", "250000\n");
  Write("cpu/box/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota("5:memory:/box\n4:cpu,cpuacct:/box\n"), 2.5);
  Write("cpu/box/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(Quota("4:cpu,cpuacct:/box\n"), std::nullopt);
  EXPECT_EQ(Quota("4:cpuset:/box\n"), std::nullopt);
}

TEST_F(ProcessorsTest, NonsenseMeansNoQuota) {
  for (const char* text : {"", "max", "100000", "x 100000", "100000 0", "-5 100000", "100000 -1"}) {
    Write("a/cpu.max", text);
    EXPECT_EQ(Quota("0::/a\n"), std::nullopt) << text;
  }
  EXPECT_EQ(Quota("no colons\n:\n::\n"), std::nullopt);
}

TEST_F(ProcessorsTest, NeverMoreThanTheAffinityMask) {
  cpu_set_t mine;
  ASSERT_EQ(sched_getaffinity(0, sizeof mine, &mine), 0);
  EXPECT_GE(UsableProcessors(), 1);
  EXPECT_LE(UsableProcessors(), CPU_COUNT(&mine));
  const OneProcessor one;
  EXPECT_EQ(UsableProcessors(), 1);
}

}  // namespace
}  // namespace conclave::engine
