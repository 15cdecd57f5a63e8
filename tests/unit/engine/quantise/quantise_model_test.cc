#include "engine/quantise/quantise_model.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/files/gguf_file.h"
#include "engine/model/language_model.h"
#include "engine/quantise/calibrate.h"
#include "tests/support/small_llama.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/engine/model/loaded_model.h"

namespace conclave::engine {
namespace {

using ::testing::HasSubstr;
using testing::MatrixType;

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class QuantiseModelTest : public ::testing::Test {
 protected:
  std::string Write(MatrixType type) {
    return folder_.Write("in.gguf", conclave::testing::SmallLlama(type).Bytes());
  }

  Result<QuantiseReport> Quantise(const std::string& in, const QuantiseOptions& options,
                                  const Importance& importance = {}, ThreadPool* pool = nullptr) {
    CONCLAVE_ASSIGN_OR_RETURN(const QuantiseSource source, OpenGgufSource(in, requantise_));
    return QuantiseModel(source, out_, options, importance, pool != nullptr ? *pool : pool_,
                         [&](int64_t done, int64_t total) {
                           EXPECT_GE(done, done_);
                           done_ = done;
                           total_ = total;
                         });
  }

  static QuantiseOptions To(DType dtype) { return {.types = {.matrices = dtype, .head = DType::kQ8_0}}; }

  conclave::testing::TemporaryFolder folder_;
  std::string out_ = folder_.path() + "/out.gguf";
  ThreadPool pool_{2};
  bool requantise_ = false;
  int64_t done_ = 0;
  int64_t total_ = 0;
};

/// Whose tensors have other names, ranks and formats.
TEST_F(QuantiseModelTest, FilesOfGptOssAndDeepseekStayWhatTheyAre) {
  using conclave::testing::SmallFeedForward;
  requantise_ = true;
  for (const auto& [family, type] : {std::pair{SmallFeedForward::kGptOss, MatrixType::kMxFp4},
                                     std::pair{SmallFeedForward::kDeepseek, MatrixType::kF32}}) {
    const std::string in =
        folder_.Write("family.gguf", conclave::testing::SmallModel(family, type, 256).Bytes());
    done_ = 0;
    for (const DType to : {DType::kF32, DType::kQ8_0}) {
      std::filesystem::remove(out_);
      const auto report = Quantise(in, {.types = {.matrices = to, .head = to}});
      ASSERT_TRUE(report.ok()) << report.status().ToString();
      done_ = 0;
      const auto before = *OpenGgufFile(in);
      const auto after = *OpenGgufFile(out_);
      const auto description = DescribeModel(*after);
      ASSERT_TRUE(description.ok()) << description.status().ToString();
      if (to != DType::kF32) continue;
      for (const TensorView& tensor : after->tensors()) {
        const TensorView& from = *before->Find(tensor.name);
        std::vector<float> wanted(tensor.columns()), got(tensor.columns());
        for (int64_t row = 0; row < tensor.rows(); ++row) {
          DequantiseRow(from.dtype, from.data + row * *RowBytes(from.dtype, from.columns()), from.columns(),
                        wanted.data());
          DequantiseRow(tensor.dtype, tensor.data + row * *RowBytes(tensor.dtype, tensor.columns()),
                        tensor.columns(), got.data());
          ASSERT_EQ(got, wanted) << tensor.name;
        }
      }
    }
  }
}

TEST_F(QuantiseModelTest, TensorsKeepNamesOrderAndShapes) {
  const std::string in = Write(MatrixType::kF32);
  const auto report = Quantise(in, To(DType::kQ4_0));
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  const auto before = *OpenGgufFile(in);
  const auto after = *OpenGgufFile(out_);
  ASSERT_EQ(after->tensors().size(), before->tensors().size());
  for (size_t i = 0; i < after->tensors().size(); ++i) {
    const TensorView& tensor = after->tensors()[i];
    EXPECT_EQ(tensor.name, before->tensors()[i].name);
    EXPECT_EQ(tensor.shape, before->tensors()[i].shape);
    const bool norm = tensor.name.find("norm") != std::string::npos;
    EXPECT_EQ(tensor.dtype, norm                             ? DType::kF32
                            : tensor.name == "output.weight" ? DType::kQ8_0
                                                             : DType::kQ4_0)
        << tensor.name;
  }
  EXPECT_EQ(report->tensors, (std::map<std::string, int64_t>{{"F32", 5}, {"Q4_0", 15}, {"Q8_0", 1}}));
  EXPECT_EQ(report->bytes, std::filesystem::file_size(out_));
  EXPECT_EQ(report->source_bytes, std::filesystem::file_size(in));
  EXPECT_EQ(done_, total_);
  EXPECT_GT(total_, 0);
}

TEST_F(QuantiseModelTest, MetadataStaysButForTheFileType) {
  auto model = conclave::testing::SmallLlama(MatrixType::kF32);
  model.Uint32("general.file_type", 0).Text("quantize.imatrix.file", "old").Raw("odd", 1, "\x05");
  const std::string in = folder_.Write("in.gguf", model.Bytes());
  ASSERT_TRUE(Quantise(in, To(DType::kQ5_K)).ok());
  const auto before = *OpenGgufFile(in);
  const auto after = *OpenGgufFile(out_);
  auto expected = before->metadata().values();
  expected.erase("quantize.imatrix.file");
  expected["general.file_type"] = int64_t{16};
  expected["general.quantization_version"] = int64_t{2};
  EXPECT_EQ(after->metadata().values(), expected);
}

TEST_F(QuantiseModelTest, RowsThatAreNotWholeBlocksAreCounted) {
  // Hidden 64 is no multiple of 256; the down projection's 256 columns are.
  const auto report = Quantise(Write(MatrixType::kF32), To(DType::kQ4_K));
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->tensors,
            (std::map<std::string, int64_t>{{"F32", 5}, {"Q4_K", 2}, {"Q5_0", 13}, {"Q8_0", 1}}));
  EXPECT_EQ(report->replaced, 13);
}

TEST_F(QuantiseModelTest, EveryTypeRuns) {
  const std::string in = Write(MatrixType::kF32);
  const auto pool = std::make_shared<ThreadPool>(1);
  const auto reference = *LanguageModel::Load(in, 0, pool);
  const auto tokens = testing::SomeTokens(32, 3);
  for (const DType dtype : {DType::kF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                            DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    QuantiseOptions options = To(dtype);
    options.replace = true;
    done_ = 0;
    ASSERT_TRUE(Quantise(in, options).ok());
    const auto model = LanguageModel::Load(out_, 0, pool);
    ASSERT_TRUE(model.ok()) << model.status().ToString();
    const auto score = ScoreText(**model, tokens, 32, [](int64_t, int64_t) {});
    const auto expected = ScoreText(*reference, tokens, 32, [](int64_t, int64_t) {});
    ASSERT_TRUE(score.ok() && expected.ok());
    EXPECT_NEAR(score->Mean(), expected->Mean(), 0.3) << InfoOf(dtype).name;
  }
}

TEST_F(QuantiseModelTest, TheNumberOfThreadsChangesNoByte) {
  const std::string in = Write(MatrixType::kF32);
  ASSERT_TRUE(Quantise(in, To(DType::kQ4_K)).ok());
  const std::string two = ReadFile(out_);
  ThreadPool one(1);
  QuantiseOptions options = To(DType::kQ4_K);
  options.replace = true;
  done_ = 0;
  ASSERT_TRUE(Quantise(in, options, {}, &one).ok());
  EXPECT_EQ(ReadFile(out_), two);
}

TEST_F(QuantiseModelTest, AQuantisedModelNeedsLeave) {
  const std::string in = Write(MatrixType::kQ8_0);
  const Status status = Quantise(in, To(DType::kQ4_0)).status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("--requantize"));
  EXPECT_FALSE(std::filesystem::exists(out_));
  requantise_ = true;
  EXPECT_TRUE(Quantise(in, To(DType::kQ4_0)).ok());
}

TEST_F(QuantiseModelTest, ToFloatsIsExact) {
  const std::string in = Write(MatrixType::kQ8_0);
  requantise_ = true;
  ASSERT_TRUE(Quantise(in, {.types = {.matrices = DType::kF32, .head = DType::kF32}}).ok());
  const auto before = *OpenGgufFile(in);
  const auto after = *OpenGgufFile(out_);
  for (const TensorView& tensor : before->tensors()) {
    std::vector<float> expected(tensor.elements()), found(tensor.elements());
    DequantiseRow(tensor.dtype, tensor.data, tensor.elements(), expected.data());
    DequantiseRow(DType::kF32, after->Find(tensor.name)->data, tensor.elements(), found.data());
    EXPECT_EQ(found, expected) << tensor.name;
  }
}

TEST_F(QuantiseModelTest, AWeightThatIsNoNumberIsNamed) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e6f}) {
    conclave::testing::GgufBuilder b;
    std::string data;
    for (int i = 0; i < 64 * 4; ++i) conclave::testing::AppendNumber(data, i == 130 || i == 200 ? bad : 0.5f);
    b.Add("blk.7.attn_q.weight", {64, 4}, 0, data);
    const std::string in = folder_.Write("bad.gguf", b.Bytes());
    const Status status = Quantise(in, To(DType::kQ4_0)).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("'blk.7.attn_q.weight', row 2"));
    EXPECT_FALSE(std::filesystem::exists(out_));
  }
}

TEST_F(QuantiseModelTest, UnreadableFormatsAndSplitModelsAreRefusedByName) {
  conclave::testing::GgufBuilder exotic;
  exotic.Add("a.weight", {256}, 16, std::string(66, 'x'));
  Status status = Quantise(folder_.Write("exotic.gguf", exotic.Bytes()), To(DType::kQ4_0)).status();
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("IQ2_XXS"));
  auto split = conclave::testing::SmallLlama(MatrixType::kF32);
  split.Raw("split.count", 2, conclave::testing::GgufBuilder::Encoded(uint16_t{2}));
  status = Quantise(folder_.Write("split.gguf", split.Bytes()), To(DType::kQ4_0)).status();
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("split.count"));
}

TEST_F(QuantiseModelTest, TheSourceIsNeverOverwritten) {
  const std::string in = Write(MatrixType::kF32);
  std::filesystem::create_hard_link(in, out_);
  const std::string before = ReadFile(in);
  QuantiseOptions options = To(DType::kQ4_0);
  options.replace = true;
  EXPECT_EQ(Quantise(in, options).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadFile(in), before);
}

TEST_F(QuantiseModelTest, CalibrationGathersEveryMatrixAndChangesTheFile) {
  const std::string in = Write(MatrixType::kF32);
  const auto pool = std::make_shared<ThreadPool>(2);
  const auto model = *LanguageModel::Load(in, 0, pool);
  const auto tokens = testing::SomeTokens(160, 5);
  const auto importance = Calibrate(*model, tokens, {.window = 64}, [](int64_t, int64_t) {});
  ASSERT_TRUE(importance.ok()) << importance.status().ToString();
  const auto file = *OpenGgufFile(in);
  for (const TensorView& tensor : file->tensors()) {
    const bool matrix = tensor.rank == 2 && tensor.name != "token_embd.weight";
    ASSERT_EQ(importance->contains(tensor.name), matrix) << tensor.name;
    if (!matrix) continue;
    const std::vector<float>& columns = importance->at(tensor.name)->mean_squares;
    EXPECT_EQ(static_cast<int64_t>(columns.size()), tensor.columns()) << tensor.name;
    for (const float mean : columns) EXPECT_GT(mean, 0.0f) << tensor.name;
  }
  ASSERT_TRUE(Quantise(in, To(DType::kQ4_0)).ok());
  const std::string plain = ReadFile(out_);
  QuantiseOptions options = To(DType::kQ4_0);
  options.replace = true;
  done_ = 0;
  ASSERT_TRUE(Quantise(in, options, *importance).ok());
  EXPECT_NE(ReadFile(out_), plain);
}

TEST_F(QuantiseModelTest, CalibrationKeepsToItsMemory) {
  Architecture wide;
  wide.layers = 10;
  wide.hidden = 1024;
  wide.inner = 4096;
  wide.query_heads = 8;
  wide.head_dim = 128;
  constexpr uint64_t kMib = 1 << 20;
  // Of a layer: three inputs of 1,024 columns, 4 MiB each together, 2 in blocks of 512, 1 of 256; one of
  // 4,096 columns, 8 or 4 MiB. Then the head's.
  EXPECT_EQ(FittingGrouping(wide, 204 * kMib)->whole, 2048);
  EXPECT_EQ(FittingGrouping(wide, 204 * kMib - 1)->whole, 512);
  EXPECT_EQ(FittingGrouping(wide, 142 * kMib)->width, 512);
  EXPECT_EQ(FittingGrouping(wide, 142 * kMib - 1)->width, 256);
  EXPECT_EQ(FittingGrouping(wide, 71 * kMib)->width, 256);
  const Status status = FittingGrouping(wide, 71 * kMib - 1).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("71 MiB"));
}

TEST_F(QuantiseModelTest, NarrowBlocksHoldTheSameProducts) {
  ThreadPool pool(1);
  ProductScratch scratch;
  constexpr int64_t kColumns = 80, kRows = 6;
  std::vector<float> x;
  for (int64_t i = 0; i < kRows * kColumns; ++i) x.push_back(static_cast<float>(i * 37 % 19) - 9.0f);
  const auto gather = [&](ColumnGrouping grouping) {
    InputStatistics inputs;
    EXPECT_TRUE(
        inputs.Add({.x = x.data(), .rows = kRows, .columns = kColumns}, grouping, pool, scratch).ok());
    return *inputs.Take();
  };
  const auto whole = gather({.whole = 128, .width = 32});
  const auto narrow = gather({.whole = 64, .width = 32});
  EXPECT_EQ(narrow->mean_squares, whole->mean_squares);
  ASSERT_EQ(narrow->blocks.size(), 3u);
  for (const ColumnBlock& block : narrow->blocks) {
    for (int64_t i = 0; i < block.count * block.count; ++i) {
      const int64_t row = block.first + i / block.count, column = block.first + i % block.count;
      EXPECT_EQ(block.products[i], whole->blocks[0].products[row * kColumns + column])
          << row << " " << column;
    }
  }
}

TEST_F(QuantiseModelTest, NormedInputsHaveTheirNormsMeanSquare) {
  // An RMS norm's output, divided by its weights, has a mean square of 1 over the columns: 64 numbers whose
  // weights SmallLlama repeats every seven.
  const std::string in = Write(MatrixType::kF32);
  const auto pool = std::make_shared<ThreadPool>(1);
  const auto model = *LanguageModel::Load(in, 0, pool);
  const auto importance =
      *Calibrate(*model, testing::SomeTokens(128, 5), {.window = 64}, [](int64_t, int64_t) {});
  for (const char* name : {"blk.0.attn_q.weight", "blk.1.ffn_up.weight", "output.weight"}) {
    const std::vector<float>& columns = importance.at(name)->mean_squares;
    double mean = 0.0;
    for (size_t i = 0; i < columns.size(); ++i) {
      const double weight = 0.75 + static_cast<double>(i % 7) / 12.0;
      mean += columns[i] / (weight * weight) / static_cast<double>(columns.size());
    }
    EXPECT_NEAR(mean, 1.0, 1e-3) << name;
  }
}

TEST_F(QuantiseModelTest, CalibrationLeavesTheModelAsItWas) {
  const std::string in = Write(MatrixType::kF32);
  const auto pool = std::make_shared<ThreadPool>(1);
  const auto model = *LanguageModel::Load(in, 0, pool);
  const auto tokens = testing::SomeTokens(64, 6);
  const auto before = ScoreText(*model, tokens, 64, [](int64_t, int64_t) {});
  ASSERT_TRUE(Calibrate(*model, tokens, {.window = 64}, [](int64_t, int64_t) {}).ok());
  const auto after = ScoreText(*model, tokens, 64, [](int64_t, int64_t) {});
  EXPECT_EQ(after->nll_sum, before->nll_sum);
  EXPECT_EQ(Calibrate(*model, tokens, {.window = 65}, [](int64_t, int64_t) {}).status().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace conclave::engine
