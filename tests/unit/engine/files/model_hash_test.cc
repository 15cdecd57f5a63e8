#include "engine/files/model_hash.h"

#include <chrono>
#include <filesystem>
#include <span>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "tests/support/temporary_folder.h"

namespace conclave::engine {
namespace {

using testing::TemporaryFolder;

constexpr const char* kHashOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(ModelHashTest, OfAFileIsItsSha256) {
  const TemporaryFolder folder;
  const Result<std::string> hash = HashModel(folder.Write("m.gguf", "abc"));
  ASSERT_TRUE(hash.ok()) << hash.status().ToString();
  EXPECT_EQ(*hash, kHashOfAbc);
}

TEST(ModelHashTest, OfAFolderCoversNamesAndContentsOfTheModelOnly) {
  const TemporaryFolder folder;
  folder.Write("model-2.safetensors", "abc");
  folder.Write("config.json", "abc");
  folder.Write("README.md", "anything");
  const std::string lines =
      std::string(kHashOfAbc) + "  config.json\n" + kHashOfAbc + "  model-2.safetensors\n";
  const std::string expected = Sha256::Hex(Sha256::Of(std::as_bytes(std::span(lines))));
  EXPECT_EQ(*HashModel(folder.path()), expected);
  folder.Write("README.md", "something else");
  EXPECT_EQ(*HashModel(folder.path()), expected);
  folder.Write("model-3.safetensors", "abc");
  EXPECT_NE(*HashModel(folder.path()), expected);
}

TEST(ModelHashTest, KeyFollowsSizeAndTime) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("m.gguf", "abc");
  const Result<ModelHashKey> key = ModelHashKeyOf(path);
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->size_bytes, 3u);
  EXPECT_EQ(*ModelHashKeyOf(path), *key);
  const auto time = std::filesystem::last_write_time(path);
  std::filesystem::last_write_time(path, time + std::chrono::seconds(5));
  EXPECT_NE(*ModelHashKeyOf(path), *key);
  folder.Write("m.gguf", "abcd");
  std::filesystem::last_write_time(path, time);
  EXPECT_NE(*ModelHashKeyOf(path), *key);
}

TEST(ModelHashTest, WhatIsNoModel) {
  const TemporaryFolder folder;
  EXPECT_EQ(HashModel(folder.path() + "/gone").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ModelHashKeyOf(folder.path() + "/gone").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(HashModel(folder.path()).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace conclave::engine
