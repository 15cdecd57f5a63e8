#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "conclave/v1/feedback.pb.h"

namespace conclave::feedback {

// The lines of TRL's dataset formats (https://huggingface.co/docs/trl/dataset_formats), each one JSON object
// with exactly the columns that the format documents and no line end. `answer` is the answer whose prompt is
// written. Nothing is returned when the answer is not of `style` (a chat is conversational, the continuation
// of a raw text is standard), because a column must have one type.

/// prompt, chosen, rejected. Also nothing when the two texts are equal: they prefer nothing.
std::optional<std::string> PreferenceLine(v1::ExportStyle style, const v1::RecordRequest& answer,
                                          std::string_view chosen, std::string_view rejected);

/// prompt, completion, label (true for a good completion).
std::optional<std::string> UnpairedLine(v1::ExportStyle style, const v1::RecordRequest& answer, bool label);

/// messages: the chat with `completion` as its last turn; for raw prompts prompt, completion.
std::optional<std::string> SftLine(v1::ExportStyle style, const v1::RecordRequest& answer,
                                   std::string_view completion);

/// Every rating with its answers, in protobuf's JSON mapping with the names of the proto file.
std::optional<std::string> RatingLine(const v1::ExportedRating& rating);

}  // namespace conclave::feedback
