#include "services/decoder/expert_frame.h"

#include <cstring>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::decoder {
namespace {

using ::testing::ElementsAre;

/// "expert: rows" of each, and "expert: all" for all rows of the frame.
std::vector<std::string> Shown(const ExpertFrame& frame) {
  std::vector<std::string> shown;
  for (const v1::ExpertTokens& tokens : frame.request.experts()) {
    std::string& text = shown.emplace_back(std::to_string(tokens.expert()) + ":");
    for (const uint32_t row : tokens.rows()) text += " " + std::to_string(row);
    if (tokens.rows().empty()) text += " all";
  }
  return shown;
}

/// Four tokens of one number each; experts 0, 1 and 3 are asked for, and all tokens of expert 4.
class ExpertFrameTest : public ::testing::Test {
 protected:
  static constexpr int64_t kMany = 1000;

  std::vector<ExpertFrame> Frames(const std::vector<bool>& here, int64_t most_rows) const {
    std::vector<WorkShare> shares;
    for (size_t i = 0; i < work_.size(); ++i) {
      if (here[work_[i].expert]) shares.push_back({static_cast<int32_t>(i), 0, work_[i].tokens});
    }
    return MakeFrames({.tokens = 4, .x = x_}, work_, shares, 1, most_rows);
  }

  static std::vector<float> InputOf(const ExpertFrame& frame) {
    const std::string& data = frame.request.input().data();
    std::vector<float> numbers(data.size() / sizeof(float));
    std::memcpy(numbers.data(), data.data(), data.size());
    EXPECT_EQ(frame.request.input().dtype(), v1::TENSOR_DTYPE_F32);
    EXPECT_THAT(frame.request.input().shape(), ElementsAre(numbers.size(), 1u));
    return numbers;
  }

  const float x_[4] = {10.0f, 11.0f, 12.0f, 13.0f};
  const int32_t first_[2] = {0, 3};
  const int32_t second_[1] = {3};
  const int32_t third_[2] = {1, 3};
  const std::vector<engine::ExpertWork> work_ = {{.expert = 0, .tokens = 2, .rows = first_},
                                                 {.expert = 1, .tokens = 1, .rows = second_},
                                                 {.expert = 3, .tokens = 2, .rows = third_},
                                                 {.expert = 4, .tokens = 4, .rows = nullptr}};
};

TEST_F(ExpertFrameTest, OnlyTheTokensThatAShardNeedsGoThere) {
  const auto frames = Frames({true, true, false, false, false}, kMany);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_THAT(InputOf(frames[0]), ElementsAre(10.0f, 13.0f));
  EXPECT_THAT(Shown(frames[0]), ElementsAre("0: all", "1: 1"));
  EXPECT_EQ(frames[0].rows, 3);
  EXPECT_THAT(frames[0].shares, ElementsAre(WorkShare{0, 0, 2}, WorkShare{1, 0, 1}));

  const auto others = Frames({false, false, true, true, true}, kMany);
  ASSERT_EQ(others.size(), 1u);
  EXPECT_THAT(InputOf(others[0]), ElementsAre(10.0f, 11.0f, 12.0f, 13.0f));
  EXPECT_THAT(Shown(others[0]), ElementsAre("3: 1 3", "4: all"));
  EXPECT_TRUE(Frames({false, false, true, false, false}, kMany).empty());
}

TEST_F(ExpertFrameTest, AnswersArePutWhereTheirWorkIs) {
  const auto frames = Frames({true, false, false, true, false}, kMany);
  ASSERT_EQ(frames.size(), 1u);
  const float numbers[] = {1.0f, 2.0f, 3.0f, 4.0f};
  v1::Tensor answer;
  answer.set_dtype(v1::TENSOR_DTYPE_F32);
  answer.add_shape(4);
  answer.add_shape(1);
  answer.set_data(numbers, sizeof numbers);
  std::vector<float> outputs(9, 0.0f);
  ASSERT_TRUE(TakeAnswer(frames[0], answer, 1, outputs.data()).ok());
  EXPECT_THAT(outputs, ElementsAre(1, 2, 0, 3, 4, 0, 0, 0, 0));

  const auto refused = [&](const std::function<void(v1::Tensor&)>& spoil) {
    v1::Tensor spoilt = answer;
    spoil(spoilt);
    return TakeAnswer(frames[0], spoilt, 1, outputs.data()).code();
  };
  EXPECT_EQ(refused([](auto& tensor) { tensor.Clear(); }), StatusCode::kInternal);
  EXPECT_EQ(refused([](auto& tensor) { tensor.set_shape(0, 5); }), StatusCode::kInternal);
  EXPECT_EQ(refused([](auto& tensor) { tensor.add_shape(1); }), StatusCode::kInternal);
  EXPECT_EQ(refused([](auto& tensor) { tensor.mutable_data()->pop_back(); }), StatusCode::kInternal);
  EXPECT_EQ(refused([](auto& tensor) { tensor.set_dtype(v1::TENSOR_DTYPE_Q8_BLOCK32); }),
            StatusCode::kInternal);
}

TEST_F(ExpertFrameTest, PartsOfAWorkAreFramesOfTheirOwn) {
  const WorkShare shares[] = {{0, 1, 2}, {3, 0, 1}, {3, 2, 4}};
  const auto frames = MakeFrames({.tokens = 4, .x = x_}, work_, shares, 1, kMany);
  ASSERT_EQ(frames.size(), 2u) << "a frame names an expert once";
  EXPECT_THAT(InputOf(frames[0]), ElementsAre(10.0f, 13.0f));
  EXPECT_THAT(Shown(frames[0]), ElementsAre("0: 1", "4: 0"));
  ASSERT_EQ(frames[0].pieces.size(), 2u);
  EXPECT_EQ(frames[0].pieces[0].first_row, 1);
  EXPECT_EQ(frames[0].pieces[1].first_row, 5);
  EXPECT_THAT(InputOf(frames[1]), ElementsAre(12.0f, 13.0f));
  EXPECT_THAT(Shown(frames[1]), ElementsAre("4: all"));
  EXPECT_EQ(frames[1].pieces[0].first_row, 7);
  EXPECT_THAT(frames[1].shares, ElementsAre(WorkShare{3, 2, 4}));
}

TEST_F(ExpertFrameTest, NoAnswerHasMoreRowsThanAllowed) {
  for (int64_t most = 1; most <= 10; ++most) {
    std::vector<int64_t> rows;
    for (const ExpertFrame& frame : Frames({true, true, true, true, true}, most)) {
      EXPECT_LE(frame.rows, most);
      EXPECT_LE(frame.request.input().shape(0), most);
      int64_t pieces = 0;
      for (const ExpertFrame::Piece& piece : frame.pieces) {
        for (int64_t i = 0; i < piece.rows; ++i) rows.push_back(piece.first_row + i);
        pieces += piece.rows;
      }
      EXPECT_EQ(pieces, frame.rows);
    }
    EXPECT_THAT(rows, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8)) << most;
  }
}

TEST_F(ExpertFrameTest, BlocksAreWhatTheKernelsMade) {
  engine::QuantisedRows rows;
  rows.Resize(3, 40);
  for (size_t i = 0; i < rows.q.size(); ++i) rows.q[i] = static_cast<int8_t>(i - 90);
  for (size_t i = 0; i < rows.scales.size(); ++i) rows.scales[i] = 0.5f + static_cast<float>(i);
  const int32_t some[] = {0, 2};
  const engine::ExpertWork work{.expert = 0, .tokens = 2, .rows = some};
  const WorkShare all{.work = 0, .begin = 0, .end = 2};
  const auto frames = MakeFrames({.tokens = 3, .x8 = &rows}, {&work, 1}, {&all, 1}, 40, kMany);
  ASSERT_EQ(frames.size(), 1u);
  const v1::Tensor& tensor = frames[0].request.input();
  EXPECT_EQ(tensor.dtype(), v1::TENSOR_DTYPE_Q8_BLOCK32);
  EXPECT_THAT(tensor.shape(), ElementsAre(2u, 40u));
  ASSERT_EQ(tensor.data().size(), 4u * 36);
  for (const int block : {0, 1, 2, 3}) {
    const int from = block < 2 ? block : block + 2;  // Row 1 is left out.
    float scale = 0.0f;
    std::memcpy(&scale, tensor.data().data() + block * 36, 4);
    EXPECT_EQ(scale, rows.scales[from]);
    EXPECT_EQ(std::memcmp(tensor.data().data() + block * 36 + 4, rows.q.data() + from * 32, 32), 0);
  }
}

}  // namespace
}  // namespace conclave::decoder
