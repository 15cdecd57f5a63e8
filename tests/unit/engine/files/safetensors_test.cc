#include <span>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/files/model_file.h"
#include "engine/files/safetensors_header.h"
#include "tests/support/safetensors_builder.h"
#include "tests/support/temporary_folder.h"

namespace conclave::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::Safetensors;
using testing::SafetensorsOfZeros;
using testing::TemporaryFolder;

auto Read(const std::string& bytes) { return ReadSafetensorsHeader(std::as_bytes(std::span(bytes))); }

/// The message for a header over `data_bytes` of data, padded so that the data are aligned.
std::string Error(std::string header, size_t data_bytes = 8) {
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const auto result = Read(Safetensors(header, std::string(data_bytes, 'd')));
  EXPECT_TRUE(result.ok() || result.status().code() == StatusCode::kInvalidArgument);
  return result.status().message();
}

std::string Entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}";
}

TEST(SafetensorsHeaderTest, ReadsEntriesInDataOrder) {
  const std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," + Entry("z", "F16", "[2,2]", "[0,8]") +
                             "," + Entry("a", "BF16", "[]", "[8,10]") + "," +
                             Entry("i", "I16", "[3]", "[10,16]") + "}";
  const auto entries =
      Read(Safetensors(header + std::string(8 - header.size() % 8, ' '), std::string(16, 'd')));
  ASSERT_TRUE(entries.ok()) << entries.status().ToString();
  ASSERT_EQ(entries->size(), 3u);
  EXPECT_EQ((*entries)[0].name, "z");
  EXPECT_EQ((*entries)[0].dtype, DType::kF16);
  EXPECT_EQ((*entries)[0].shape[1], 2);
  EXPECT_EQ((*entries)[1].rank, 0);
  EXPECT_EQ((*entries)[2].dtype, std::nullopt);
  EXPECT_EQ((*entries)[2].unusable, "is stored as I16");
}

TEST(SafetensorsHeaderTest, HeaderLengths) {
  EXPECT_THAT(Read("1234567").status().message(), HasSubstr("header length at byte 0"));
  EXPECT_THAT(Read(testing::GgufBuilder::Encoded(~uint64_t{0})).status().message(), HasSubstr("at most"));
  EXPECT_THAT(Read(testing::GgufBuilder::Encoded(uint64_t{3}) + "{}").status().message(),
              HasSubstr("header at byte 8: needs 3 bytes, the file has 2 left"));
  EXPECT_THAT(Read(Safetensors("", "")).status().message(), HasSubstr("not valid JSON"));
}

TEST(SafetensorsHeaderTest, EveryTruncationIsRefused) {
  const std::string whole = SafetensorsOfZeros({{"a", {2, 3}}, {"b", {4}}});
  ASSERT_TRUE(Read(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(Read(whole.substr(0, size)).ok()) << size;
}

TEST(SafetensorsHeaderTest, HeadersThatAreNoObjects) {
  for (const char* header : {"[]", "1", "null", "\"text\"", "{\"a\":1}", "{\"a\":[]}", "{\"a\":{}}"}) {
    EXPECT_THAT(Error(header), HasSubstr(" at byte 8")) << header;
  }
  EXPECT_THAT(Error("{\"a\":"), HasSubstr("not valid JSON at byte"));
  EXPECT_THAT(Error("{\"__metadata__\":{\"k\":1}}"), HasSubstr("the value of 'k' is not a text"));
  EXPECT_THAT(Error("{\"__metadata__\":3}"), HasSubstr("must be an object"));
}

TEST(SafetensorsHeaderTest, DuplicateKeysAndDeepNesting) {
  const std::string entry = Entry("a", "F32", "[2]", "[0,8]");
  EXPECT_THAT(Error("{" + entry + "," + entry + "}"), HasSubstr("'a' appears twice"));
  EXPECT_THAT(Error(std::string(1'000'000, '[')), HasSubstr("nested deeper than 16 levels"));
}

TEST(SafetensorsHeaderTest, FieldsOfTheWrongKind) {
  EXPECT_THAT(Error("{" + Entry("a", "F33", "[2]", "[0,8]") + "}"), HasSubstr("unknown 'dtype' 'F33'"));
  EXPECT_THAT(Error("{" + Entry("a", "F32", "2", "[0,8]") + "}"), HasSubstr("'shape'"));
  for (const char* shape : {"[-2]", "[2.0]", "[\"2\"]", "[1e40]", "[18446744073709551615]", "[[2]]"}) {
    EXPECT_THAT(Error("{" + Entry("a", "F32", shape, "[0,8]") + "}"), HasSubstr("not a size")) << shape;
  }
  EXPECT_THAT(Error("{" + Entry("a", "F32", "[0]", "[0,0]") + "}"), HasSubstr("holds a zero"));
  EXPECT_THAT(Error("{" + Entry("a", "F32", "[4294967296,4294967296]", "[0,8]") + "}"),
              HasSubstr("overflows"));
  EXPECT_THAT(Error("{" + Entry("a", "F64", "[4611686018427387904]", "[0,8]") + "}"),
              HasSubstr("another number"));
  for (const char* offsets : {"[0]", "[0,8,8]", "8", "[0,\"8\"]", "[-1,8]"}) {
    EXPECT_THAT(Error("{" + Entry("a", "F32", "[2]", offsets) + "}"), HasSubstr("'data_offsets'")) << offsets;
  }
  EXPECT_THAT(Error("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}}"),
              HasSubstr("must be an object with"));
}

TEST(SafetensorsHeaderTest, OffsetsThatDoNotFit) {
  EXPECT_THAT(Error("{" + Entry("a", "F32", "[2]", "[8,0]") + "}"), HasSubstr("lie outside"));
  EXPECT_THAT(Error("{" + Entry("a", "F32", "[3]", "[0,12]") + "}"), HasSubstr("is the download complete?"));
  EXPECT_THAT(Error("{" + Entry("a", "F32", "[1]", "[0,8]") + "}"),
              HasSubstr("need another number of bytes"));
  EXPECT_EQ(Error("{" + Entry("a", "F32", "[2]", "[0,8]") + "}"), "");
}

TEST(SafetensorsHeaderTest, OverlapsGapsAndLeftovers) {
  const std::string a = Entry("a", "F32", "[2]", "[0,8]");
  EXPECT_THAT(Error("{" + a + "," + Entry("b", "F32", "[2]", "[4,12]") + "}", 12), HasSubstr("overlap"));
  EXPECT_THAT(Error("{" + a + "," + Entry("b", "F32", "[2]", "[0,8]") + "}", 8), HasSubstr("overlap"));
  EXPECT_THAT(Error("{" + a + "," + Entry("b", "F32", "[1]", "[12,16]") + "}", 16),
              HasSubstr("4 bytes before its data belong to no tensor"));
  EXPECT_THAT(Error("{" + a + "}", 9), HasSubstr("the last 1 bytes of the file belong to no tensor"));
  EXPECT_THAT(Error("{}", 1), HasSubstr("belong to no tensor"));
}

TEST(SafetensorsHeaderTest, DataThatAreNotAligned) {
  const std::string header =
      "{" + Entry("a", "U8", "[1]", "[0,1]") + "," + Entry("b", "F32", "[1]", "[1,5]") + "}";
  EXPECT_THAT(Error(header, 5), AllOf(HasSubstr("'b'"), HasSubstr("not aligned")));
}

/// A header of that many one-byte tensors.
std::string ManyEntries(int count) {
  std::string header = "{";
  for (int i = 0; i < count; ++i) {
    const std::string begin = std::to_string(i), end = std::to_string(i + 1);
    header += (i == 0 ? "" : ",") + Entry("t" + begin, "U8", "[1]", "[" + begin + "," + end + "]");
  }
  return header + "}";
}

TEST(SafetensorsHeaderTest, AHundredThousandEntries) {
  EXPECT_THAT(Error(ManyEntries(100'000), 100'000), HasSubstr("100000 entries, at most 65536 are allowed"));
}

// The JSON library's own callback made this take minutes: it searched the whole object after each entry.
TEST(SafetensorsHeaderTest, TheMostEntriesAreReadInLinearTime) {
  EXPECT_EQ(Error(ManyEntries(65'536), 65'536), "");
}

TEST(SafetensorsFolderTest, OneFile) {
  const TemporaryFolder folder;
  folder.Write("config.json", "{\"any\": 1}");
  folder.Write("model.safetensors", SafetensorsOfZeros({{"a", {2, 3}}}));
  const auto file = OpenModelFile(folder.path());
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ((*file)->config_json(), "{\"any\": 1}");
  ASSERT_NE((*file)->Find("a"), nullptr);
  EXPECT_EQ((*file)->Find("a")->rows(), 2);
  EXPECT_EQ((*file)->Find("b"), nullptr);
  EXPECT_TRUE((*file)->metadata().values().empty());
}

TEST(SafetensorsFolderTest, FilesThatAreMissing) {
  const TemporaryFolder folder;
  EXPECT_THAT(OpenModelFile(folder.path()).status().ToString(),
              AllOf(HasSubstr("NOT_FOUND"), HasSubstr("config.json")));
  folder.Write("config.json", "{}");
  EXPECT_THAT(OpenModelFile(folder.path()).status().ToString(),
              AllOf(HasSubstr("NOT_FOUND"), HasSubstr("neither model.safetensors nor")));
  const std::string single = folder.Write("model.safetensors", SafetensorsOfZeros({{"a", {1}}}));
  EXPECT_THAT(OpenModelFile(single).status().message(), HasSubstr("give the folder"));
}

constexpr const char* kIndexName = "model.safetensors.index.json";

TEST(SafetensorsFolderTest, Shards) {
  const TemporaryFolder folder;
  folder.Write("config.json", "{}");
  folder.Write("one.safetensors", SafetensorsOfZeros({{"a", {1}}, {"unlisted", {1}}}));
  folder.Write("two.safetensors", SafetensorsOfZeros({{"b", {2}}}));
  folder.Write(kIndexName, R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  const auto file = OpenModelFile(folder.path());
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ((*file)->tensors().size(), 2u);
  EXPECT_NE((*file)->Find("b"), nullptr);
  EXPECT_EQ((*file)->Find("unlisted"), nullptr);
}

TEST(SafetensorsFolderTest, IndexesThatLie) {
  const TemporaryFolder folder;
  folder.Write("config.json", "{}");
  folder.Write("one.safetensors", SafetensorsOfZeros({{"a", {1}}}));
  const auto error = [&](const std::string& index) {
    folder.Write(kIndexName, index);
    return OpenModelFile(folder.path()).status().message();
  };
  EXPECT_THAT(error("{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(error("{}"), HasSubstr("'weight_map' is missing"));
  EXPECT_THAT(error(R"({"weight_map":{}})"), HasSubstr("'weight_map' is missing, empty"));
  for (const char* name :
       {"../one.safetensors", "/etc/passwd", "a/b.safetensors", "one.bin", ".safetensors", ""}) {
    EXPECT_THAT(error("{\"weight_map\":{\"a\":\"" + std::string(name) + "\"}}"), HasSubstr("of the folder"))
        << name;
  }
  EXPECT_THAT(error(R"({"weight_map":{"a":7}})"), HasSubstr("of the folder"));
  EXPECT_THAT(error(R"({"weight_map":{"b":"one.safetensors"}})"), HasSubstr("which does not hold it"));
  EXPECT_THAT(error(R"({"weight_map":{"a":"gone.safetensors"}})"), HasSubstr("cannot open"));
  EXPECT_EQ(error(R"({"weight_map":{"a":"one.safetensors"}})"), "");
}

}  // namespace
}  // namespace conclave::engine
