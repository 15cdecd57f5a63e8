#include "engine/files/new_file.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/support/temporary_folder.h"

namespace conclave::engine {
namespace {

using ::testing::HasSubstr;

std::span<const std::byte> AsBytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class NewFileTest : public ::testing::Test {
 protected:
  std::ptrdiff_t FilesInFolder() const {
    return std::distance(std::filesystem::directory_iterator(folder_.path()), {});
  }

  conclave::testing::TemporaryFolder folder_;
  std::string path_ = folder_.path() + "/new";
};

/// Files of this process may have at most `bytes` while it lives, as if the disk were full behind them.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : previous_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &previous_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = previous_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &previous_);
    std::signal(SIGXFSZ, previous_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit previous_{};
  void (*previous_handler_)(int);
};

TEST_F(NewFileTest, AppearsWhenItIsWhole) {
  auto file = NewFile::Create(path_, 0, false);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  const std::string large(3 << 20, 'x');
  ASSERT_TRUE(file->Append(AsBytes("one ")).ok());
  ASSERT_TRUE(file->Append(AsBytes(large)).ok());
  ASSERT_TRUE(file->Append(AsBytes(" two")).ok());
  EXPECT_EQ(file->size_bytes(), large.size() + 8);
  EXPECT_FALSE(std::filesystem::exists(path_));
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(ReadFile(path_), "one " + large + " two");
  EXPECT_EQ(FilesInFolder(), 1);
}

TEST_F(NewFileTest, ReservedRoomThatIsNotUsedIsGivenBack) {
  auto file = NewFile::Create(path_, 1 << 20, false);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->Append(AsBytes("short")).ok());
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(std::filesystem::file_size(path_), 5u);
}

TEST_F(NewFileTest, WithoutCommitNothingIsLeft) {
  folder_.Write("new", "old");
  {
    auto file = NewFile::Create(path_, 100, true);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->Append(AsBytes("half")).ok());
    const NewFile moved = *std::move(file);
    EXPECT_EQ(FilesInFolder(), 2);
  }
  EXPECT_EQ(ReadFile(path_), "old");
  EXPECT_EQ(FilesInFolder(), 1);
}

TEST_F(NewFileTest, AnExistingFileIsReplacedOnlyWhenAsked) {
  folder_.Write("new", "old");
  EXPECT_EQ(NewFile::Create(path_, 0, false).status().code(), StatusCode::kAlreadyExists);
  auto file = NewFile::Create(path_, 0, true);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->Append(AsBytes("fresh")).ok());
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(ReadFile(path_), "fresh");
}

TEST_F(NewFileTest, AFileThatAppearedMeanwhileIsNotReplaced) {
  auto file = NewFile::Create(path_, 0, false);
  ASSERT_TRUE(file.ok());
  folder_.Write("new", "somebody else's");
  EXPECT_EQ(file->Commit().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(path_), "somebody else's");
}

TEST_F(NewFileTest, FoldersAreRefused) {
  EXPECT_EQ(NewFile::Create(folder_.path(), 0, true).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(NewFile::Create(folder_.path() + "/no/new", 0, true).status().code(), StatusCode::kNotFound);
}

TEST_F(NewFileTest, AFullDiskIsKnownBeforeTheWork) {
  const FileSizeLimit limit(1 << 16);
  const Status status = NewFile::Create(path_, 1 << 20, false).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("1048576 bytes"));
  EXPECT_EQ(FilesInFolder(), 0);
}

TEST_F(NewFileTest, AFullDiskLeavesNothing) {
  const FileSizeLimit limit(1 << 16);
  {
    auto file = NewFile::Create(path_, 0, false);
    ASSERT_TRUE(file.ok());
    const std::string bytes(1 << 20, 'x');
    Status status = file->Append(AsBytes(bytes));
    if (status.ok()) status = file->Commit();
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.ToString();
  }
  EXPECT_EQ(FilesInFolder(), 0);
}

}  // namespace
}  // namespace conclave::engine
