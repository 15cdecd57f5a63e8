#include "engine/files/gguf_header.h"

#include <limits>
#include <span>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/gguf_builder.h"

namespace conclave::engine {
namespace {

using ::testing::AllOf;
using testing::GgufBuilder;
using ::testing::HasSubstr;
using testing::TinyLlama;

Result<GgufHeader> Read(const std::string& bytes) { return ReadGgufHeader(std::as_bytes(std::span(bytes))); }
Status ReadStatus(const GgufBuilder& builder) { return Read(builder.Bytes()).status(); }

template <typename T>
std::string Array(uint32_t type, uint64_t count, const std::vector<T>& values) {
  std::string out = GgufBuilder::Encoded(type) + GgufBuilder::Encoded(count);
  for (const T value : values) testing::AppendNumber(out, value);
  return out;
}

TEST(GgufHeaderTest, ReadsEveryKindOfValue) {
  GgufBuilder b;
  b.Raw("u8", 0, "\xff").Raw("i8", 1, "\xff").Raw("u16", 2, "\xff\xff").Raw("i16", 3, "\xff\xff");
  b.Uint32("u32", 4'000'000'000u).Raw("i32", 5, GgufBuilder::Encoded(int32_t{-7})).Float("f32", 0.5f);
  b.Raw("bool", 7, "\x01").Text("text", "words").Raw("u64", 10, GgufBuilder::Encoded(uint64_t{1} << 62));
  b.Raw("i64", 11, GgufBuilder::Encoded(int64_t{-1} << 40)).Raw("f64", 12, GgufBuilder::Encoded(0.1));
  b.Raw("ints", 9, Array<uint16_t>(2, 2, {1, 65535})).Raw("floats", 9, Array<float>(6, 2, {0.25f, -1.0f}));
  b.Raw("bools", 9, Array<uint8_t>(7, 3, {1, 0, 1})).Texts("texts", {"", "b"});
  const Result<GgufHeader> header = Read(b.Bytes());
  ASSERT_TRUE(header.ok()) << header.status().ToString();
  const GgufMetadata& m = header->metadata;
  EXPECT_EQ(m.Int("u8"), 255);
  EXPECT_EQ(m.Int("i8"), -1);
  EXPECT_EQ(m.Int("u16"), 65535);
  EXPECT_EQ(m.Int("i16"), -1);
  EXPECT_EQ(m.Int("u32"), 4'000'000'000);
  EXPECT_EQ(m.Int("i32"), -7);
  EXPECT_EQ(m.Double("f32"), 0.5);
  EXPECT_EQ(m.Bool("bool"), true);
  EXPECT_EQ(*m.String("text"), "words");
  EXPECT_EQ(m.Int("u64"), int64_t{1} << 62);
  EXPECT_EQ(m.Int("i64"), int64_t{-1} << 40);
  EXPECT_EQ(m.Double("f64"), 0.1);
  EXPECT_EQ(*m.Ints("ints"), (std::vector<int64_t>{1, 65535}));
  EXPECT_EQ(*m.Doubles("floats"), (std::vector<double>{0.25, -1.0}));
  EXPECT_EQ(std::get<std::vector<bool>>(m.values().at("bools")), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(*m.Strings("texts"), (std::vector<std::string>{"", "b"}));
  // An integer reads as a double; nothing else changes its kind.
  EXPECT_EQ(m.Double("i32"), -7.0);
  EXPECT_EQ(m.Int("f32"), std::nullopt);
  EXPECT_EQ(m.String("u8"), nullptr);
  EXPECT_EQ(m.Int("absent"), std::nullopt);
}

TEST(GgufHeaderTest, ReadsTensorsOutermostFirst) {
  for (const uint32_t version : {2u, 3u}) {
    GgufBuilder b;
    b.version = version;
    b.AddFloats("first", {4, 3}).Add("second", {64}, 8, std::string(68, '\1'));
    const Result<GgufHeader> header = Read(b.Bytes());
    ASSERT_TRUE(header.ok()) << header.status().ToString();
    ASSERT_EQ(header->tensors.size(), 2u);
    const GgufTensorInfo& first = header->tensors[0];
    EXPECT_EQ(first.rank, 2);
    EXPECT_EQ(first.shape[0], 3);
    EXPECT_EQ(first.shape[1], 4);
    EXPECT_EQ(first.data_offset % 32, 0u);
    EXPECT_EQ(first.data_bytes, 48u);
    EXPECT_EQ(header->tensors[1].type->name, "Q8_0");
    EXPECT_EQ(header->tensors[1].data_offset, first.data_offset + 64);
  }
}

TEST(GgufHeaderTest, OtherFilesVersionsAndByteOrders) {
  GgufBuilder b;
  b.magic = "GGML";
  EXPECT_THAT(ReadStatus(b).message(), HasSubstr("magic at byte 0"));
  b = GgufBuilder();
  for (const uint32_t version : {0u, 1u, 4u}) {
    b.version = version;
    EXPECT_EQ(ReadStatus(b).code(), StatusCode::kUnimplemented);
    EXPECT_THAT(ReadStatus(b).message(), HasSubstr("GGUF version " + std::to_string(version)));
  }
  b.version = 0x03000000;
  EXPECT_EQ(ReadStatus(b).code(), StatusCode::kUnimplemented);
  EXPECT_THAT(ReadStatus(b).message(), HasSubstr("big-endian"));
}

TEST(GgufHeaderTest, EveryTruncationIsRefused) {
  const GgufBuilder b = TinyLlama();
  const std::string whole = b.Bytes();
  ASSERT_TRUE(Read(whole).ok());
  const size_t header_bytes = b.Header().size();
  for (size_t size = 0; size < header_bytes; ++size) {
    const Result<GgufHeader> header = Read(whole.substr(0, size));
    ASSERT_FALSE(header.ok()) << size;
    EXPECT_EQ(header.status().code(), StatusCode::kInvalidArgument) << size;
    EXPECT_THAT(header.status().message(), HasSubstr(" at byte ")) << size;
  }
  EXPECT_THAT(Read(whole.substr(0, whole.size() - 1)).status().message(),
              AllOf(HasSubstr("blk.0.ffn_down.weight"), HasSubstr("is the download complete?")));
}

TEST(GgufHeaderTest, EveryFlippedByteIsHandled) {
  const GgufBuilder b = TinyLlama();
  const std::string whole = b.Bytes();
  for (size_t at = 0; at < b.Header().size(); ++at) {
    for (const int change : {0x01, 0x80, 0xFF}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      const Result<GgufHeader> header = Read(bytes);
      if (header.ok()) continue;  // A letter of a name, or a number that is as good as the other.
      EXPECT_FALSE(header.status().message().empty());
    }
  }
}

TEST(GgufHeaderTest, AbsurdCounts) {
  GgufBuilder b = TinyLlama();
  b.extra_tensors = std::numeric_limits<int64_t>::max();
  EXPECT_THAT(ReadStatus(b).message(), HasSubstr("tensor count at byte 8"));
  b = TinyLlama();
  b.extra_pairs = -1000;  // Wraps around to almost 2^64.
  EXPECT_THAT(ReadStatus(b).message(), HasSubstr("metadata count at byte 16"));
  b = TinyLlama();
  b.extra_tensors = 1;
  EXPECT_FALSE(ReadStatus(b).ok());
}

TEST(GgufHeaderTest, AbsurdTextsAndArrays) {
  const auto status = [](uint32_t type, const std::string& value) {
    return ReadStatus(GgufBuilder().Raw("key", type, value));
  };
  for (const uint64_t length : {uint64_t{100}, uint64_t{1} << 40, ~uint64_t{0}}) {
    EXPECT_THAT(status(8, GgufBuilder::Encoded(length)).message(), HasSubstr("metadata value 'key' at byte"));
    EXPECT_THAT(status(9, Array<uint8_t>(0, length, {1})).message(), HasSubstr("an array of"));
    EXPECT_THAT(status(9, Array<uint64_t>(8, length, {0})).message(), HasSubstr("an array of"));
  }
  EXPECT_EQ(status(9, GgufBuilder::Encoded(uint32_t{9})).code(), StatusCode::kUnimplemented);
  EXPECT_THAT(status(9, GgufBuilder::Encoded(uint32_t{9})).message(), HasSubstr("arrays of arrays"));
  EXPECT_THAT(status(13, "").message(), HasSubstr("unknown value type 13"));
  EXPECT_THAT(status(7, "\x02").message(), HasSubstr("neither 0 nor 1"));
  EXPECT_THAT(status(10, GgufBuilder::Encoded(~uint64_t{0})).message(), HasSubstr("beyond 63 bits"));
}

TEST(GgufHeaderTest, DuplicatesAndEmptyNames) {
  EXPECT_THAT(ReadStatus(GgufBuilder().Uint32("a", 1).Uint32("a", 1)).message(),
              HasSubstr("'a' appears twice"));
  EXPECT_THAT(ReadStatus(GgufBuilder().Uint32("", 1)).message(), HasSubstr("metadata key at byte 24: empty"));
  EXPECT_THAT(ReadStatus(GgufBuilder().AddFloats("t", {1}).AddFloats("t", {1})).message(),
              HasSubstr("'t' appears twice"));
  EXPECT_THAT(ReadStatus(GgufBuilder().AddFloats("", {1})).message(), HasSubstr("tensor name at byte"));
  EXPECT_THAT(ReadStatus(GgufBuilder().AddFloats(std::string(1025, 'n'), {1})).message(),
              HasSubstr("1025 bytes"));
}

/// What a tensor whose directory entry was changed by `change` gives.
template <typename Change>
std::string TensorError(Change change) {
  GgufBuilder b;
  b.AddFloats("a", {32}).AddFloats("b", {32});
  change(b);
  return ReadStatus(b).message();
}

TEST(GgufHeaderTest, ShapesThatOverflow) {
  const auto with_dims = [](std::vector<uint64_t> dims) {
    return TensorError([&](GgufBuilder& b) { b.tensors[0].dims = dims; });
  };
  EXPECT_THAT(with_dims({}), HasSubstr("0 dimensions"));
  EXPECT_THAT(with_dims({1, 1, 1, 1, 1}), HasSubstr("5 dimensions"));
  EXPECT_THAT(with_dims({0}), HasSubstr("zero or overflows"));
  EXPECT_THAT(with_dims({~uint64_t{0}}), HasSubstr("zero or overflows"));
  EXPECT_THAT(with_dims({uint64_t{1} << 32, uint64_t{1} << 32}), HasSubstr("zero or overflows"));
  EXPECT_THAT(with_dims({uint64_t{1} << 62}), HasSubstr("larger than any file"));
  EXPECT_THAT(with_dims({1u << 20}), HasSubstr("lie beyond the end of the file"));
}

TEST(GgufHeaderTest, OffsetsOutsideUnalignedOrOverlapping) {
  const auto with_offset = [](uint64_t offset) {
    return TensorError([&](GgufBuilder& b) { b.tensors[1].offset = offset; });
  };
  EXPECT_THAT(with_offset(7), HasSubstr("not a multiple of the alignment 32"));
  EXPECT_THAT(with_offset(~uint64_t{0} - 31), HasSubstr("lie beyond the end of the file"));
  EXPECT_THAT(with_offset(160), HasSubstr("lie beyond the end of the file"));
  EXPECT_THAT(with_offset(96), HasSubstr("its data overlap those of 'a'"));
  EXPECT_THAT(with_offset(0), HasSubstr("overlap"));
  EXPECT_EQ(with_offset(128), "");
}

TEST(GgufHeaderTest, TypesAndBlocks) {
  const auto with_type = [](uint32_t type, uint64_t columns) {
    return TensorError([&](GgufBuilder& b) { b.tensors[0].type = type, b.tensors[0].dims = {columns}; });
  };
  EXPECT_THAT(with_type(4, 32), HasSubstr("type of tensor 'a' at byte"));
  EXPECT_THAT(with_type(999, 32), HasSubstr("unknown type 999"));
  EXPECT_THAT(with_type(2, 31), HasSubstr("not whole Q4_0 blocks of 32"));
  EXPECT_EQ(with_type(16, 256), "");  // IQ2_XXS: known by its size only.
}

TEST(GgufHeaderTest, Alignment) {
  GgufBuilder wide;
  wide.alignment = 64;
  wide.Uint32("general.alignment", 64).AddFloats("a", {1}).AddFloats("b", {1});
  const Result<GgufHeader> header = Read(wide.Bytes());
  ASSERT_TRUE(header.ok()) << header.status().ToString();
  EXPECT_EQ(header->tensors[1].data_offset % 64, 0u);
  for (const uint32_t alignment : {0u, 1u, 4u, 24u, 1u << 21}) {
    EXPECT_THAT(ReadStatus(GgufBuilder().Uint32("general.alignment", alignment)).message(),
                HasSubstr("general.alignment"));
  }
  EXPECT_THAT(ReadStatus(GgufBuilder().Text("general.alignment", "32")).message(),
              HasSubstr("general.alignment"));
}

}  // namespace
}  // namespace conclave::engine
