#include "engine/model/fused_experts.h"

#include <cmath>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/safetensors_builder.h"
#include "tests/support/temporary_folder.h"

namespace conclave::engine {
namespace {

constexpr int64_t kExperts = 3;
constexpr int64_t kOutputs = 10;
constexpr int64_t kInputs = 64;

/// The value of an E2M1 code.
double Fp4(int code) {
  constexpr double kSizes[] = {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0};
  return (code & 8) != 0 ? -kSizes[code & 7] : kSizes[code & 7];
}

/// A folder with one matrix of three experts as floats, and another one in MXFP4.
class FusedExpertsTest : public ::testing::Test {
 protected:
  FusedExpertsTest() {
    std::string data;
    const std::string floats = Append(data, "F32", "[3,64,10]", kExperts * kInputs * kOutputs * 4, [&] {
      for (int64_t i = 0; i < kExperts * kInputs * kOutputs; ++i) {
        conclave::testing::AppendNumber(data, static_cast<float>(i));
      }
    });
    const std::string bias = Append(data, "F32", "[3,10]", kExperts * kOutputs * 4, [&] {
      for (int64_t i = 0; i < kExperts * kOutputs; ++i) {
        conclave::testing::AppendNumber(data, static_cast<float>(i));
      }
    });
    std::mt19937 random(5);
    for (int64_t i = 0; i < kExperts * kOutputs * kInputs / 2; ++i) blocks_ += static_cast<char>(random());
    for (int64_t i = 0; i < kExperts * kOutputs * 2; ++i) scales_ += static_cast<char>(110 + i);
    const std::string blocks = Append(data, "U8", "[3,10,2,16]", blocks_.size(), [&] { data += blocks_; });
    const std::string scales = Append(data, "U8", "[3,10,2]", scales_.size(), [&] { data += scales_; });
    const std::string header = "{\"plain\":" + floats + ",\"bias\":" + bias + ",\"mx_blocks\":" + blocks +
                               ",\"mx_scales\":" + scales + "}";
    folder_.Write("config.json", "{}");
    folder_.Write("model.safetensors", conclave::testing::Safetensors(Padded(header), data));
    file_ = *OpenModelFile(folder_.path());
  }

  template <typename Write>
  static std::string Append(const std::string& data, const std::string& type, const std::string& shape,
                            size_t bytes, Write write) {
    const size_t begin = data.size();
    write();
    return "{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":[" + std::to_string(begin) +
           "," + std::to_string(begin + bytes) + "]}";
  }
  static std::string Padded(std::string header) {
    header.resize((header.size() + 7) / 8 * 8, ' ');
    return header;
  }

  /// The number that the format's definition gives for an expert's output and input.
  double MxNumber(int64_t expert, int64_t output, int64_t input) const {
    const int64_t at = (expert * kOutputs + output) * kInputs + input;
    const int byte = static_cast<uint8_t>(blocks_[at / 2]);
    const int scale = static_cast<uint8_t>(scales_[at / 32]);
    return std::ldexp(Fp4(input % 2 == 0 ? byte & 15 : byte >> 4), scale - 127);
  }

  std::vector<float> Row(const CopiedMatrix& matrix, int64_t row) const {
    std::vector<float> out(kInputs);
    const int64_t row_bytes = *RowBytes(matrix.view.dtype, kInputs);
    DequantiseRow(matrix.view.dtype, matrix.view.data + row * row_bytes, kInputs, out.data());
    return out;
  }

  conclave::testing::TemporaryFolder folder_;
  std::string blocks_, scales_;
  std::unique_ptr<ModelFile> file_;
};

TEST_F(FusedExpertsTest, MxFp4InTwoTensorsKeepsEveryNumber) {
  EXPECT_EQ(FusedType(*file_, "mx"), DType::kMXFP4);
  for (int64_t expert = 0; expert < kExperts; ++expert) {
    const CopiedMatrix all = *CopyFusedExpert(*file_, "mx", expert, FusedRows::kAll);
    const CopiedMatrix odd = *CopyFusedExpert(*file_, "mx", expert, FusedRows::kOdd);
    ASSERT_EQ(all.view.rows(), kOutputs);
    ASSERT_EQ(odd.view.rows(), kOutputs / 2);
    for (int64_t output = 0; output < kOutputs; ++output) {
      const std::vector<float> row = Row(all, output);
      for (int64_t i = 0; i < kInputs; ++i) {
        EXPECT_EQ(row[i], static_cast<float>(MxNumber(expert, output, i))) << output << " " << i;
      }
      if (output % 2 == 1) EXPECT_EQ(Row(odd, output / 2), row);
    }
  }
}

TEST_F(FusedExpertsTest, FloatsAreTransposed) {
  EXPECT_EQ(FusedType(*file_, "plain"), DType::kF32);
  const CopiedMatrix even = *CopyFusedExpert(*file_, "plain", 2, FusedRows::kEven);
  ASSERT_EQ(even.view.rows(), kOutputs / 2);
  for (int64_t row = 0; row < kOutputs / 2; ++row) {
    const std::vector<float> numbers = Row(even, row);
    for (int64_t i = 0; i < kInputs; ++i) {
      EXPECT_EQ(numbers[i], static_cast<float>((2 * kInputs + i) * kOutputs + 2 * row));
    }
  }
}

TEST_F(FusedExpertsTest, BiasesFollowTheirRows) {
  EXPECT_EQ(*CopyExpertBias(*file_, "bias", 1, FusedRows::kOdd),
            (std::vector<float>{11.0f, 13.0f, 15.0f, 17.0f, 19.0f}));
  EXPECT_EQ(CopyExpertBias(*file_, "bias", 2, FusedRows::kAll)->back(), 29.0f);
}

TEST_F(FusedExpertsTest, WhatIsMissingIsSaid) {
  EXPECT_NE(CopyFusedExpert(*file_, "none", 0, FusedRows::kAll).status().ToString().find("'none' is missing"),
            std::string::npos);
  EXPECT_FALSE(CopyExpertBias(*file_, "none", 0, FusedRows::kAll).ok());
}

TEST_F(FusedExpertsTest, BytesAreNoMatrix) {
  EXPECT_EQ(file_->Find("mx_blocks"), nullptr);
  ASSERT_NE(file_->FindBytes("mx_blocks"), nullptr);
  EXPECT_EQ(file_->FindBytes("mx_blocks")->shape, (std::array<int64_t, 4>{3, 10, 2, 16}));
  EXPECT_EQ(file_->FindBytes("plain"), nullptr);
}

}  // namespace
}  // namespace conclave::engine
