#include "platform/exchange/frame_checksum.h"

#include <algorithm>
#include <bit>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace conclave::platform {
namespace {

static_assert(std::endian::native == std::endian::little, "frames are little-endian");

/// The numbers of a frame, behind each other.
class Numbers {
 public:
  void Add(uint32_t number) { numbers_.push_back(number); }
  void AddWide(uint64_t number) {
    Add(static_cast<uint32_t>(number));
    Add(static_cast<uint32_t>(number >> 32));
  }
  void AddShape(const v1::Tensor& tensor) {
    Add(static_cast<uint32_t>(tensor.dtype()));
    AddList(tensor.shape());
  }
  void AddList(const google::protobuf::RepeatedField<uint32_t>& list) {
    Add(static_cast<uint32_t>(list.size()));
    numbers_.insert(numbers_.end(), list.begin(), list.end());
  }

  /// With the tensor's bytes.
  uint64_t Checksum(const v1::Tensor& tensor) const {
    const uint64_t seed = XXH3_64bits(numbers_.data(), numbers_.size() * sizeof(uint32_t));
    const uint64_t sum = XXH3_64bits_withSeed(tensor.data().data(), tensor.data().size(), seed);
    return std::max<uint64_t>(sum, 1);
  }

 private:
  std::vector<uint32_t> numbers_;
};

}  // namespace

uint64_t FrameChecksum(const v1::ExchangeRequest& request) {
  Numbers numbers;
  numbers.AddWide(request.frame());
  numbers.Add(request.layer());
  numbers.AddShape(request.input());
  for (const v1::ExpertTokens& tokens : request.experts()) {
    numbers.Add(tokens.expert());
    numbers.AddList(tokens.rows());
  }
  return numbers.Checksum(request.input());
}

uint64_t FrameChecksum(const v1::ExchangeResponse& response) {
  Numbers numbers;
  numbers.AddWide(response.frame());
  numbers.AddShape(response.output());
  return numbers.Checksum(response.output());
}

}  // namespace conclave::platform
