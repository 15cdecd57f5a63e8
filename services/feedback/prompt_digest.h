#pragma once

#include <string>

#include "conclave/v1/feedback.pb.h"

namespace conclave::feedback {

/// SHA-256 that is equal for two answers exactly when they answer the identical prompt for the same tenant:
/// the same messages and the same sources put among them; for raw completions the same text; and where there
/// is only a list of tokens, the same tokens of the same model. Model, adapter, seed and sampling may differ.
std::string PromptDigest(const v1::RecordRequest& record);

}  // namespace conclave::feedback
