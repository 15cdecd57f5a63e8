#include "services/decoder/sequence.h"

#include <algorithm>

namespace conclave::decoder {

bool SequenceRequest::Has(const EventSink* stream, uint64_t answer) const {
  if (sink.get() != stream) return false;
  return id == answer || std::ranges::find(further, answer, &FurtherAnswer::id) != further.end();
}

SequenceRequest SequenceRequest::ForFurther(const FurtherAnswer& answer) const {
  SequenceRequest alone = *this;
  alone.further.clear();
  alone.id = answer.id;
  alone.sampling.seed = answer.seed;
  return alone;
}

void SequenceRequest::Drop(uint64_t answer) {
  if (id == answer) {
    id = further.front().id;
    sampling.seed = further.front().seed;
    answer = id;
  }
  std::erase_if(further, [&](const FurtherAnswer& other) { return other.id == answer; });
}

}  // namespace conclave::decoder
