#include "services/feedback/signing_key.h"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "services/feedback/limits.h"
#include "tests/unit/feedback/feedback_fixture.h"

namespace conclave::feedback {
namespace {

namespace fs = std::filesystem;

class SigningKeyTest : public ::testing::Test {
 protected:
  void WriteKey(const std::string& bytes, fs::perms permissions) {
    std::ofstream(path_, std::ios::binary) << bytes;
    fs::permissions(path_, permissions);
  }

  TemporaryFolder folder_;
  const fs::path path_ = folder_.path() + "/vote_token.key";
};

TEST_F(SigningKeyTest, IsMadeOnceAndReadableByItsOwnerOnly) {
  const auto made = LoadOrCreateSigningKey(path_);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ(made->size(), kSigningKeyBytes);
  struct stat info{};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(LoadOrCreateSigningKey(path_).value(), *made);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()), 1);
}

TEST_F(SigningKeyTest, DiffersBetweenInstallations) {
  const TemporaryFolder other;
  EXPECT_NE(LoadOrCreateSigningKey(path_).value(), LoadOrCreateSigningKey(other.path() + "/k").value());
}

TEST_F(SigningKeyTest, KeyThatOthersMayReadIsRefused) {
  WriteKey(std::string(kSigningKeyBytes, 'k'), fs::perms::owner_all | fs::perms::group_read);
  const auto key = LoadOrCreateSigningKey(path_);
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(key.status().message().find("chmod 600 " + path_.string()), std::string::npos);
}

TEST_F(SigningKeyTest, KeyOfAnotherSizeIsRefusedAndNotReplaced) {
  WriteKey("short", fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(LoadOrCreateSigningKey(path_).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(fs::file_size(path_), 5u);
}

TEST_F(SigningKeyTest, LinkToAnotherFileIsRefused) {
  std::ofstream(folder_.path() + "/target") << std::string(kSigningKeyBytes, 'k');
  fs::create_symlink(folder_.path() + "/target", path_);
  EXPECT_FALSE(LoadOrCreateSigningKey(path_).ok());
}

TEST_F(SigningKeyTest, MissingFolderIsAnError) {
  EXPECT_EQ(LoadOrCreateSigningKey(folder_.path() + "/none/k").status().code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace conclave::feedback
