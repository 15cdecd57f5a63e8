#include "services/router/text_batches.h"

#include <vector>

#include <gtest/gtest.h>

namespace conclave::router {
namespace {

v1::DecodeRequest Part(uint64_t id, bool last = false) {
  v1::DecodeRequest part;
  part.set_sequence_id(id);
  part.set_last(last);
  return part;
}

std::vector<uint64_t> IdsOf(const v1::DecodeRequest& message) {
  std::vector<uint64_t> ids = {message.sequence_id()};
  for (const v1::DecodeRequest& part : message.more()) ids.push_back(part.sequence_id());
  return ids;
}

TEST(TextBatchesTest, WhatComesWhileAMessageIsUnderWayGoesTogether) {
  TextBatches batches;
  const auto first = batches.Push(Part(1));
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(IdsOf(*first), (std::vector<uint64_t>{1}));
  EXPECT_FALSE(batches.Push(Part(2)).has_value());
  EXPECT_FALSE(batches.Push(Part(3, true)).has_value());
  EXPECT_FALSE(batches.Push(Part(2, true)).has_value());
  const auto second = batches.Answered();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(IdsOf(*second), (std::vector<uint64_t>{2, 3, 2}));
  EXPECT_FALSE(second->last());
  EXPECT_TRUE(second->more(1).last());
  EXPECT_FALSE(batches.Push(Part(4)).has_value()) << "the second message is under way";
  EXPECT_TRUE(batches.Answered().has_value());
  EXPECT_FALSE(batches.Answered().has_value());
  EXPECT_TRUE(batches.Push(Part(5)).has_value());
}

TEST(TextBatchesTest, ABreakForgetsWhatWaits) {
  TextBatches batches;
  ASSERT_TRUE(batches.Push(Part(1)).has_value());
  EXPECT_FALSE(batches.Push(Part(2)).has_value());
  batches.Broke();
  EXPECT_FALSE(batches.Answered().has_value()) << "an answer that was on its way";
  const auto next = batches.Push(Part(3));
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(IdsOf(*next), (std::vector<uint64_t>{3}));
}

}  // namespace
}  // namespace conclave::router
