#include "engine/upcycle/upcycle_model.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/files/gguf_file.h"
#include "engine/model/language_model.h"
#include "tests/support/small_llama.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/engine/model/loaded_model.h"

namespace conclave::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MatrixType;
using Sizes = conclave::testing::SmallLlamaSizes;

constexpr int64_t kWindow = 64;
constexpr int64_t kTokens = 512;

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<float> Floats(const TensorView& tensor) {
  std::vector<float> numbers(static_cast<size_t>(tensor.elements()));
  DequantiseRow(tensor.dtype, tensor.data, tensor.elements(), numbers.data());
  return numbers;
}

class UpcycleModelTest : public ::testing::Test {
 protected:
  void Write(const std::string& bytes) { in_ = folder_.Write("in.gguf", bytes); }

  Result<ExpertPlan> Plan(const ExpertShape& shape, int64_t threads = 2, uint64_t memory = 1 << 30,
                          int64_t tokens = kTokens) {
    CONCLAVE_ASSIGN_OR_RETURN(source_, OpenGgufSource(in_, true));
    const auto pool = std::make_shared<ThreadPool>(static_cast<int>(threads));
    CONCLAVE_ASSIGN_OR_RETURN(const auto model, LanguageModel::Load(in_, 0, pool));
    dense_ = model->architecture();
    progress_ = 0;
    std::vector<TensorView> downs;
    if (dense_.mixture.experts == 0) {
      CONCLAVE_ASSIGN_OR_RETURN(downs, DownProjections(source_, dense_.layers));
    }
    return PlanExperts(*model, downs, testing::SomeTokens(tokens, 5),
                       {.shape = shape, .window = kWindow, .memory_bytes = memory},
                       [&](int64_t done, int64_t total) {
                         EXPECT_EQ(done, progress_ + 1);
                         EXPECT_LE(done, total);
                         progress_ = done;
                       });
  }

  Result<UpcycleReport> Upcycle(const ExpertShape& shape, int64_t threads = 2, uint64_t memory = 1 << 30) {
    CONCLAVE_ASSIGN_OR_RETURN(plan_, Plan(shape, threads, memory));
    ThreadPool pool(static_cast<int>(threads));
    return WriteUpcycled(source_, dense_, shape, plan_, out_, true, pool, [](int64_t, int64_t) {});
  }

  /// The logits [tokens, vocabulary] of a model's file.
  static std::vector<float> Logits(const std::string& path) {
    const auto model = *LanguageModel::Load(path, 0, std::make_shared<ThreadPool>(1));
    std::vector<float> all;
    const Status status = model->ForEachLogits(
        testing::SomeTokens(48, 9), 0,
        [&](int64_t, std::span<float> logits) { all.insert(all.end(), logits.begin(), logits.end()); });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return all;
  }

  static float Farthest(const std::vector<float>& a, const std::vector<float>& b) {
    EXPECT_EQ(a.size(), b.size());
    float most = 0.0f;
    for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::fabs(a[i] - b[i]));
    return most;
  }

  conclave::testing::TemporaryFolder folder_;
  std::string in_, out_ = folder_.path() + "/out.gguf";
  QuantiseSource source_;
  Architecture dense_;
  ExpertPlan plan_;
  int64_t progress_ = 0;
};

TEST_F(UpcycleModelTest, AllExpertsTogetherAreTheDenseModel) {
  Write(conclave::testing::SmallLlama(MatrixType::kF32).Bytes());
  const std::vector<float> dense = Logits(in_);
  for (const ExpertShape& shape :
       {ExpertShape{4, 4, 64, 0}, ExpertShape{2, 2, 96, 64}, ExpertShape{7, 7, 32, 32}}) {
    const auto report = Upcycle(shape);
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_EQ(report->bytes, std::filesystem::file_size(out_));
    EXPECT_EQ(report->down, DType::kF32);
    const std::vector<float> logits = Logits(out_);
    // Sums of 256 products in another order, of logits of about 10.
    EXPECT_LT(Farthest(logits, dense), 1e-4f) << shape.experts;
  }
}

TEST_F(UpcycleModelTest, FewerExpertsAreAnotherModelThatIsNearerTheMoreThereAre) {
  Write(conclave::testing::SmallLlama(MatrixType::kF32).Bytes());
  const std::vector<float> dense = Logits(in_);
  std::vector<double> errors;
  for (const int64_t chosen : {1, 4, 7, 8}) {
    ASSERT_TRUE(Upcycle({8, chosen, 32, 0}).ok());
    const std::vector<float> logits = Logits(out_);
    double sum = 0.0;
    for (size_t i = 0; i < logits.size(); ++i) sum += std::pow(logits[i] - dense[i], 2.0);
    errors.push_back(sum);
  }
  EXPECT_TRUE(std::is_sorted(errors.rbegin(), errors.rend())) << ::testing::PrintToString(errors);
  EXPECT_GT(errors[2], 1e3 * errors[3]);
}

TEST_F(UpcycleModelTest, TheFileSaysWhatItIs) {
  Write(conclave::testing::SmallLlama(MatrixType::kF32).Bytes());
  ASSERT_TRUE(Upcycle({5, 3, 32, 96}).ok());
  const auto file = *OpenGgufFile(out_);
  EXPECT_EQ(*file->metadata().String("general.architecture"), "conclave-moe");
  EXPECT_EQ(*file->metadata().String("conclave-moe.dense_architecture"), "llama");
  EXPECT_EQ(file->metadata().Int("conclave-moe.feed_forward_length"), Sizes::kInner);
  EXPECT_FALSE(file->metadata().Int("llama.block_count"));
  EXPECT_NE(file->metadata().Strings("tokenizer.ggml.tokens"), nullptr);
  const auto description = DescribeModel(*file);
  ASSERT_TRUE(description.ok()) << description.status().ToString();
  const Architecture& a = description->architecture;
  EXPECT_EQ(a.family, "conclave-moe");
  EXPECT_EQ(a.rope_layout, RopeLayout::kInterleaved);
  EXPECT_EQ(a.mixture.experts, 5);
  EXPECT_EQ(a.mixture.per_token, 3);
  EXPECT_EQ(a.mixture.inner, 32);
  EXPECT_EQ(a.mixture.shared_inner, 96);
  EXPECT_TRUE(a.mixture.unit_weights);
  EXPECT_FALSE(a.mixture.shared_gate);
}

/// Rows of gate and up projections and columns of the down projection move together, and nothing is lost.
TEST_F(UpcycleModelTest, NeuronsMoveAsThePlanSays) {
  Write(conclave::testing::SmallLlama(MatrixType::kF32).Bytes());
  ASSERT_TRUE(Upcycle({3, 2, 64, 64}).ok());
  const auto before = *OpenGgufFile(in_), after = *OpenGgufFile(out_);
  for (int64_t layer = 0; layer < 2; ++layer) {
    const std::vector<int32_t>& neurons = plan_.layers[layer].neurons;
    EXPECT_EQ(std::set<int32_t>(neurons.begin(), neurons.end()).size(), Sizes::kInner);
    const std::string prefix = "blk." + std::to_string(layer) + ".ffn_";
    const auto gate = Floats(*before->Find(prefix + "gate.weight"));
    const auto down = Floats(*before->Find(prefix + "down.weight"));
    const auto gates = Floats(*after->Find(prefix + "gate_exps.weight"));
    const auto downs = Floats(*after->Find(prefix + "down_exps.weight"));
    const auto shared = Floats(*after->Find(prefix + "down_shexp.weight"));
    constexpr int64_t kHidden = Sizes::kHidden, kInner = Sizes::kInner;
    for (int64_t i = 0; i < 192; ++i) {
      for (int64_t j = 0; j < kHidden; ++j) {
        ASSERT_EQ(gates[i * kHidden + j], gate[neurons[i] * kHidden + j]);
        ASSERT_EQ(downs[(i / 64 * kHidden + j) * 64 + i % 64], down[j * kInner + neurons[i]]);
      }
    }
    for (int64_t i = 0; i < 64; ++i) {
      for (int64_t j = 0; j < kHidden; ++j) {
        ASSERT_EQ(shared[j * 64 + i], down[j * kInner + neurons[192 + i]]);
      }
    }
    const auto router = Floats(*after->Find(prefix + "gate_inp.weight"));
    EXPECT_EQ(router, plan_.layers[layer].router);
  }
}

TEST_F(UpcycleModelTest, OfAQuantisedModelOnlyDownProjectionsAreRoundedAnew) {
  Write(conclave::testing::SmallLlama(MatrixType::kQ4_0).Bytes());
  const auto report = Upcycle({4, 4, 64, 0});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->down, DType::kQ8_0);
  const auto before = *OpenGgufFile(in_), after = *OpenGgufFile(out_);
  EXPECT_EQ(after->Find("blk.0.ffn_gate_exps.weight")->dtype, DType::kQ4_0);
  EXPECT_EQ(after->Find("blk.0.ffn_down_exps.weight")->dtype, DType::kQ8_0);
  for (const TensorView& tensor : before->tensors()) {
    if (tensor.name.find("ffn_") != std::string::npos && tensor.name.find("norm") == std::string::npos)
      continue;
    const TensorView* same = after->Find(tensor.name);
    ASSERT_NE(same, nullptr) << tensor.name;
    ASSERT_EQ(same->bytes, tensor.bytes) << tensor.name;
    EXPECT_TRUE(std::equal(tensor.data, tensor.data + tensor.bytes, same->data)) << tensor.name;
  }
  // Activations and down projections in 8 bits: steps of 1/127 of the largest of 32.
  EXPECT_LT(Farthest(Logits(out_), Logits(in_)), 0.5f);
}

TEST_F(UpcycleModelTest, TheSameTextGivesTheSameBytes) {
  Write(conclave::testing::SmallLlama(MatrixType::kQ8_0).Bytes());
  ASSERT_TRUE(Upcycle({6, 2, 32, 64}, 1).ok());
  const std::string one = ReadFile(out_);
  ASSERT_TRUE(Upcycle({6, 2, 32, 64}, 3).ok());
  EXPECT_EQ(ReadFile(out_), one);
  // Room for one layer only: the text is read twice.
  const uint64_t layer = kTokens * (Sizes::kHidden + Sizes::kInner) * sizeof(float);
  ASSERT_TRUE(Upcycle({6, 2, 32, 64}, 2, layer).ok());
  EXPECT_EQ(ReadFile(out_), one);
}

TEST_F(UpcycleModelTest, WhatCannotBePlannedIsRefused) {
  Write(conclave::testing::SmallLlama(MatrixType::kF32).Bytes());
  const ExpertShape shape{4, 2, 64, 0};
  EXPECT_THAT(Plan(shape, 1, 1 << 30, 200).status().ToString(),
              AllOf(HasSubstr("200 tokens"), HasSubstr("3 whole windows"), HasSubstr("need 256 tokens")));
  EXPECT_THAT(Plan(shape, 1, 1000).status().ToString(),
              AllOf(HasSubstr("RESOURCE_EXHAUSTED"), HasSubstr("--calibration-memory-mib")));
  Write(conclave::testing::SmallMixture(MatrixType::kF32).Bytes());
  EXPECT_THAT(Plan(shape).status().ToString(), HasSubstr("mixture of 6 experts already"));
  const auto source = OpenGgufSource(in_, true);
  EXPECT_THAT(DownProjections(*source, 2).status().ToString(),
              HasSubstr("no tensor 'blk.0.ffn_down.weight'"));
}

TEST_F(UpcycleModelTest, NumbersThatAreNoneAreRefused) {
  Write(conclave::testing::SmallLlamaWithBrokenToken(MatrixType::kF32, 7));
  EXPECT_THAT(Plan({4, 2, 64, 0}).status().ToString(), AllOf(HasSubstr("layer 0"), HasSubstr("not finite")));

  // A token that the text does not have, so that only writing sees it.
  std::string bytes = conclave::testing::SmallLlama(MatrixType::kF32).Bytes();
  Write(bytes);
  ASSERT_TRUE(Upcycle({4, 2, 64, 0}).ok());
  Write(conclave::testing::SmallLlamaWithBrokenToken(MatrixType::kF32, 7));
  ThreadPool pool(1);
  source_ = *OpenGgufSource(in_, true);
  std::filesystem::remove(out_);
  const auto written =
      WriteUpcycled(source_, dense_, {4, 2, 64, 0}, plan_, out_, false, pool, [](int64_t, int64_t) {});
  EXPECT_THAT(written.status().ToString(),
              AllOf(HasSubstr("'token_embd.weight', row 7"), HasSubstr("not a finite")));
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(UpcycleModelTest, TheSourceIsNeverReplaced) {
  Write(conclave::testing::SmallLlama(MatrixType::kF32).Bytes());
  out_ = in_;
  EXPECT_THAT(Upcycle({4, 2, 64, 0}).status().ToString(), HasSubstr("is the model that is read"));
  out_ = folder_.path() + "/none/out.gguf";
  EXPECT_THAT(Upcycle({4, 2, 64, 0}).status().ToString(), HasSubstr("No such file"));
}

}  // namespace
}  // namespace conclave::engine
