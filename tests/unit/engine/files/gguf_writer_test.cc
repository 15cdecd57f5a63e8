#include "engine/files/gguf_writer.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <span>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/files/gguf_header.h"
#include "engine/files/limits.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/temporary_folder.h"

namespace conclave::engine {
namespace {

using testing::GgufBuilder;
using ::testing::HasSubstr;

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::span<const std::byte> AsBytes(const std::string& text) { return std::as_bytes(std::span(text)); }

GgufOutputTensor Tensor(std::string name, DType dtype, std::vector<int64_t> shape) {
  GgufOutputTensor tensor{.name = std::move(name), .dtype = dtype, .rank = static_cast<int>(shape.size())};
  std::copy(shape.begin(), shape.end(), tensor.shape.begin());
  return tensor;
}

class GgufWriterTest : public ::testing::Test {
 protected:
  Status CreateStatus(const std::vector<GgufOutputTensor>& tensors, uint64_t alignment = 32) {
    return GgufWriter::Create(path_, {}, tensors, alignment, false).status();
  }

  conclave::testing::TemporaryFolder folder_;
  std::string path_ = folder_.path() + "/out.gguf";
};

TEST_F(GgufWriterTest, PairsMoveToOtherKeysWithTheirValues) {
  GgufPairs pairs, more;
  pairs.AddText("a.text", "one");
  more.AddTexts("a.texts", {"two", "three"});
  more.AddUint32("dropped", 4);
  more.AddInt32s("numbers", {-5, 6});
  pairs.AddAll(more);
  GgufPairs expected;
  expected.AddText("bb.text", "one");
  expected.AddTexts("bb.texts", {"two", "three"});
  expected.AddInt32s("numbers", {-5, 6});
  const GgufPairs renamed = pairs.Renamed([](std::string_view key) -> std::optional<std::string> {
    if (key == "dropped") return std::nullopt;
    return key.starts_with("a.") ? "bb." + std::string(key.substr(2)) : std::string(key);
  });
  EXPECT_EQ(renamed.bytes(), expected.bytes());
  EXPECT_EQ(renamed.count(), 3u);
}

TEST_F(GgufWriterTest, WhatIsWrittenIsRead) {
  GgufPairs pairs;
  pairs.AddUint32("general.alignment", 64);
  pairs.AddUint32("general.file_type", 7);
  auto writer = GgufWriter::Create(
      path_, pairs, {Tensor("a", DType::kF32, {3}), Tensor("b", DType::kQ8_0, {2, 64})}, 64, false);
  ASSERT_TRUE(writer.ok()) << writer.status().ToString();
  const std::string first(12, 'a');
  const std::string second(136, 'b');
  ASSERT_TRUE(writer->Append(AsBytes(first)).ok());
  ASSERT_TRUE(writer->Append(AsBytes(second.substr(0, 100))).ok());
  ASSERT_TRUE(writer->Append(AsBytes(second.substr(100))).ok());
  EXPECT_FALSE(std::filesystem::exists(path_));
  ASSERT_TRUE(writer->Finish().ok());

  const std::string bytes = ReadFile(path_);
  EXPECT_EQ(bytes.size(), writer->file_bytes());
  const Result<GgufHeader> header = ReadGgufHeader(AsBytes(bytes));
  ASSERT_TRUE(header.ok()) << header.status().ToString();
  EXPECT_EQ(header->alignment, 64u);
  EXPECT_EQ(header->metadata.Int("general.file_type"), 7);
  ASSERT_EQ(header->tensors.size(), 2u);
  EXPECT_EQ(header->tensors[1].name, "b");
  EXPECT_EQ(header->tensors[1].shape[0], 2);
  EXPECT_EQ(header->tensors[1].shape[1], 64);
  EXPECT_EQ(bytes.substr(header->tensors[0].data_offset, 12), first);
  EXPECT_EQ(bytes.substr(header->tensors[1].data_offset, 136), second);
}

TEST_F(GgufWriterTest, EveryKindOfPairIsRead) {
  GgufPairs more;
  more.AddInt32s("int32s", {-1, 2});
  more.AddTexts("texts", {"", "b\n"});
  GgufPairs pairs;
  pairs.AddFloat32("float", 0.5f);
  pairs.AddBool("yes", true);
  pairs.AddBool("no", false);
  pairs.AddText("text", "words");
  pairs.AddAll(more);
  EXPECT_EQ(pairs.count(), 6u);
  auto writer = GgufWriter::Create(path_, pairs, {}, 32, false);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->Finish().ok());
  const std::string bytes = ReadFile(path_);
  const Result<GgufHeader> header = ReadGgufHeader(AsBytes(bytes));
  ASSERT_TRUE(header.ok()) << header.status().ToString();
  const std::map<std::string, GgufValue, std::less<>> expected = {
      {"float", 0.5},
      {"yes", true},
      {"no", false},
      {"text", std::string("words")},
      {"int32s", std::vector<int64_t>{-1, 2}},
      {"texts", std::vector<std::string>{"", "b\n"}}};
  EXPECT_EQ(header->metadata.values(), expected);
}

TEST_F(GgufWriterTest, PairsOfAnotherFileAreCopiedByteByByte) {
  GgufBuilder b;
  b.Raw("u8", 0, "\xff").Text("text", "words").Raw("u64", 10, GgufBuilder::Encoded(uint64_t{1} << 62));
  b.Texts("texts", {"", "b"}).Float("f32", 0.1f);
  const std::string source = b.Bytes();
  const Result<GgufHeader> header = ReadGgufHeader(AsBytes(source));
  ASSERT_TRUE(header.ok());
  GgufPairs pairs;
  for (const GgufPairSpan& pair : header->pairs) {
    pairs.AddEncoded(AsBytes(source).subspan(pair.offset, pair.bytes));
  }
  EXPECT_EQ(header->pairs.at(1).key, "text");
  auto writer = GgufWriter::Create(path_, pairs, {}, 32, false);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_EQ(ReadFile(path_).substr(0, source.size()), source);
}

TEST_F(GgufWriterTest, HostileSizesAreRefused) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  EXPECT_THAT(CreateStatus({Tensor("t", DType::kQ8_0, {2, 33})}).message(), HasSubstr("not whole blocks"));
  for (const auto& shape : std::vector<std::vector<int64_t>>{
           {}, {0}, {-1}, {kHuge, kHuge}, {kHuge}, {kHuge / 32 * 32}, {1 << 20, 1 << 20, 1 << 20, 1 << 20}}) {
    EXPECT_EQ(CreateStatus({Tensor("t", DType::kF32, shape)}).code(), StatusCode::kInvalidArgument);
  }
  constexpr int64_t kHalfOfAll = static_cast<int64_t>(kMaxModelFileBytes) / 8;
  EXPECT_THAT(CreateStatus({Tensor("s", DType::kF32, {kHalfOfAll}), Tensor("t", DType::kF32, {kHalfOfAll}),
                            Tensor("u", DType::kF32, {kHalfOfAll})})
                  .message(),
              HasSubstr("larger"));
  for (const uint64_t alignment : {0ull, 4ull, 24ull, 1ull << 40}) {
    EXPECT_EQ(CreateStatus({}, alignment).code(), StatusCode::kInvalidArgument) << alignment;
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(GgufWriterTest, TooFewAndTooManyBytesAreNoticed) {
  auto writer = GgufWriter::Create(path_, {}, {Tensor("t", DType::kF32, {4})}, 32, false);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->Append(AsBytes(std::string(12, 'x'))).ok());
  EXPECT_EQ(writer->Finish().code(), StatusCode::kInternal);
  EXPECT_EQ(writer->Append(AsBytes(std::string(8, 'x'))).code(), StatusCode::kInternal);
  ASSERT_TRUE(writer->Append(AsBytes(std::string(4, 'x'))).ok());
  EXPECT_EQ(writer->Append(AsBytes("x")).code(), StatusCode::kInternal);
  EXPECT_TRUE(writer->Finish().ok());
}

}  // namespace
}  // namespace conclave::engine
