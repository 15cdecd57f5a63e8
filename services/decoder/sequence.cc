#include "services/decoder/sequence.h"

#include <algorithm>

#include "services/decoder/beam_group.h"

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

bool Sequence::Makes(const EventSink* stream, uint64_t id) const {
  if (request.sink.get() != stream) return false;
  return beams != nullptr ? beams->Has(id) : request.id == id;
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
