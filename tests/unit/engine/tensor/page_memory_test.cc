#include "engine/tensor/page_memory.h"

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

bool AllAre(const std::byte* data, int64_t bytes, std::byte value) {
  return std::all_of(data, data + bytes, [&](std::byte byte) { return byte == value; });
}

TEST(PageMemoryTest, IsZeroedAlignedAndWritable) {
  PageMemory memory = PageMemory::Map(3 * kHugePageBytes - 5);
  ASSERT_NE(memory.data(), nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % kHugePageBytes, 0u);
  EXPECT_EQ(memory.bytes(), 3 * kHugePageBytes);
  EXPECT_TRUE(AllAre(memory.data(), memory.bytes(), std::byte{0}));
  memory.data()[memory.bytes() - 1] = std::byte{7};
  const PageMemory moved = std::move(memory);
  EXPECT_EQ(moved.data()[moved.bytes() - 1], std::byte{7});
  EXPECT_EQ(PageMemory::Map(0).data(), nullptr);
  EXPECT_EQ(PageMemory::Map(-1).data(), nullptr);
  EXPECT_EQ(PageMemory::Map(INT64_MAX).data(), nullptr);
  EXPECT_EQ(PageMemory::Map(int64_t{1} << 60).data(), nullptr) << "more than the address space";
}

TEST(AllocateWeightsTest, PiecesOfManyThreadsDoNotOverlap) {
  struct Piece {
    std::shared_ptr<std::byte[]> data;
    int64_t bytes;
    std::byte mark;
  };
  std::vector<std::vector<Piece>> pieces(4);
  {
    std::vector<std::jthread> threads;
    for (size_t t = 0; t < pieces.size(); ++t) {
      threads.emplace_back([&, t] {
        for (int64_t i = 0; i < 50; ++i) {
          const int64_t bytes = 1 + i * 7919 * static_cast<int64_t>(t + 1) % 900'000;
          const auto mark = static_cast<std::byte>(1 + t * 50 + static_cast<size_t>(i));
          Piece piece{AllocateWeights(bytes), bytes, mark};
          ASSERT_NE(piece.data, nullptr);
          EXPECT_TRUE(AllAre(piece.data.get(), bytes, std::byte{0}));
          std::fill_n(piece.data.get(), bytes, mark);
          pieces[t].push_back(std::move(piece));
          if (i % 3 == 0) pieces[t].erase(pieces[t].begin());
        }
      });
    }
  }
  for (const auto& of_thread : pieces) {
    for (const Piece& piece : of_thread) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(piece.data.get()) % 64, 0u);
      EXPECT_TRUE(AllAre(piece.data.get(), piece.bytes, piece.mark));
    }
  }
}

TEST(AllocateWeightsTest, LargeAndImpossiblePieces) {
  const int64_t large = int64_t{100} << 20;
  const auto piece = AllocateWeights(large);
  ASSERT_NE(piece, nullptr);
  piece[large - 1] = std::byte{1};
  EXPECT_NE(AllocateWeights(0), nullptr);
  EXPECT_EQ(AllocateWeights(-1), nullptr);
  EXPECT_EQ(AllocateWeights(INT64_MAX), nullptr);
  EXPECT_EQ(AllocateWeights(int64_t{1} << 60), nullptr);
}

}  // namespace
}  // namespace conclave::engine
