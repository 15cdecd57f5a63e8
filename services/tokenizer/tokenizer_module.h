#pragma once

#include <memory>

#include "base/result.h"
#include "platform/module.h"

namespace conclave::tokenizer {

/// The tokenizer service, over the vocabulary and the chat template in the model's own files.
/// Errors: those of LoadModelTokenizer.
Result<std::unique_ptr<platform::ServiceModule>> MakeTokenizerModule(const platform::ModuleContext& context);

}  // namespace conclave::tokenizer
