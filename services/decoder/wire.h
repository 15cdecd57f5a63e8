#pragma once

#include "base/result.h"
#include "conclave/v1/common.pb.h"
#include "conclave/v1/decoder.pb.h"
#include "services/decoder/sequence.h"

namespace conclave::decoder {

/// The sampling parameters as the engine takes them; `defaults` stand for what is not set, and where they
/// leave something unset too, what the proto says. A missing seed becomes a random one. Errors:
/// INVALID_ARGUMENT for what the engine's type cannot even hold; ranges are checked at admission.
Result<engine::SamplingParams> FromWire(const v1::SamplingParams& wire, const v1::SamplingParams& defaults);

/// The beam search that the parameters ask for, if any; checked. Errors: INVALID_ARGUMENT, also when they say
/// how to draw.
Result<engine::BeamParams> BeamsFromWire(const v1::SamplingParams& wire);

/// A sequence as the scheduler takes it; the sink is the stream's.
Result<SequenceRequest> FromWire(const v1::AdmitSequence& wire, const v1::SamplingParams& defaults,
                                 std::shared_ptr<EventSink> sink);

/// What a model's makers recommend, with the answer's length: the defaults that others may rely on.
v1::SamplingParams ToWire(const engine::SamplingParams& defaults);

/// One step's events of one stream as one message.
v1::GenerateResponse ToWire(const std::vector<SequenceEvent>& events);

}  // namespace conclave::decoder
