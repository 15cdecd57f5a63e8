#include "platform/exchange/frame_checksum.h"

#include <functional>
#include <set>

#include <gtest/gtest.h>

namespace conclave::platform {
namespace {

v1::ExchangeRequest Request() {
  v1::ExchangeRequest request;
  request.set_frame(uint64_t{5} << 32 | 7);
  request.set_layer(3);
  request.mutable_input()->set_dtype(v1::TENSOR_DTYPE_F32);
  request.mutable_input()->add_shape(2);
  request.mutable_input()->add_shape(1);
  request.mutable_input()->set_data("abcdefgh");
  v1::ExpertTokens& tokens = *request.add_experts();
  tokens.set_expert(1);
  tokens.add_rows(0);
  request.add_experts()->set_expert(4);
  return request;
}

TEST(FrameChecksumTest, DiffersWithEveryPartOfARequest) {
  using Change = std::function<void(v1::ExchangeRequest&)>;
  const Change changes[] = {
      [](auto&) {},
      [](auto& r) { r.set_frame(r.frame() + 1); },
      [](auto& r) { r.set_frame(r.frame() ^ uint64_t{1} << 40); },
      [](auto& r) { r.set_layer(2); },
      [](auto& r) { r.mutable_input()->set_dtype(v1::TENSOR_DTYPE_Q8_BLOCK32); },
      [](auto& r) { r.mutable_input()->set_shape(0, 1); },
      [](auto& r) { r.mutable_input()->add_shape(1); },
      [](auto& r) { r.mutable_input()->mutable_data()->back() ^= 1; },
      [](auto& r) { r.mutable_input()->mutable_data()->push_back(0); },
      [](auto& r) { r.mutable_experts(0)->set_expert(2); },
      [](auto& r) { r.mutable_experts(0)->set_rows(0, 1); },
      [](auto& r) { r.mutable_experts(0)->add_rows(1); },
      [](auto& r) { r.mutable_experts()->RemoveLast(); },
  };
  std::set<uint64_t> sums;
  for (const Change& change : changes) {
    v1::ExchangeRequest request = Request();
    change(request);
    sums.insert(FrameChecksum(request));
    request.set_checksum(1);
    request.set_model_hash("other");
    sums.insert(FrameChecksum(request));  // Neither is part of it.
  }
  EXPECT_EQ(sums.size(), std::size(changes));
  EXPECT_FALSE(sums.contains(0));
}

/// Written down from another implementation (Python's xxhash), so that a change of the formula is noticed.
TEST(FrameChecksumTest, IsTheDocumentedFormula) {
  EXPECT_EQ(FrameChecksum(Request()), 0x8c04d6689b2768d0u);
  v1::ExchangeResponse response;
  response.set_frame(9);
  response.mutable_output()->set_dtype(v1::TENSOR_DTYPE_F32);
  response.mutable_output()->add_shape(1);
  response.mutable_output()->set_data("wxyz");
  EXPECT_EQ(FrameChecksum(response), 0x4192e9bea73a7571u);
}

}  // namespace
}  // namespace conclave::platform
