#include "engine/files/mapped_file.h"

#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "engine/files/quoted.h"
#include "tests/support/temporary_folder.h"

namespace conclave::engine {
namespace {

using ::testing::HasSubstr;

TEST(MappedFileTest, HoldsTheFilesBytes) {
  const testing::TemporaryFolder folder;
  Result<MappedFile> file = MappedFile::Open(folder.Write("a", "hello"));
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  MappedFile moved = std::move(file).value();
  ASSERT_EQ(moved.bytes().size(), 5u);
  EXPECT_EQ(std::to_integer<char>(moved.bytes()[4]), 'o');
}

TEST(MappedFileTest, RefusesWhatIsNoFile) {
  const testing::TemporaryFolder folder;
  EXPECT_EQ(MappedFile::Open(folder.path() + "/missing").status().code(), StatusCode::kNotFound);
  EXPECT_THAT(MappedFile::Open(folder.Write("empty", "")).status().message(), HasSubstr("is empty"));
  EXPECT_THAT(MappedFile::Open(folder.path()).status().message(), HasSubstr("is a folder"));
  EXPECT_THAT(MappedFile::Open("/dev/zero").status().message(), HasSubstr("is a device"));
  EXPECT_THAT(MappedFile::Open(std::string("a\0b", 3)).status().message(), HasSubstr("null character"));
  EXPECT_EQ(MappedFile::Open(folder.Write("file", "x") + "/below").status().code(), StatusCode::kNotFound);
}

TEST(MappedFileTest, APipeWithoutWriterDoesNotBlock) {
  const testing::TemporaryFolder folder;
  const std::string pipe = folder.path() + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(MappedFile::Open(pipe).status().message(), HasSubstr("pipe"));
}

TEST(QuotedTest, EscapesAndShortens) {
  EXPECT_EQ(Quoted("a b"), "'a b'");
  EXPECT_EQ(Quoted("\x1b[2J'\\\xff"), "'\\x1b[2J\\x27\\x5c\\xff'");
  EXPECT_EQ(Quoted(std::string(500, 'x')), "'" + std::string(120, 'x') + "...'");
}

}  // namespace
}  // namespace conclave::engine
