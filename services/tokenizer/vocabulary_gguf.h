#pragma once

#include "base/result.h"
#include "engine/files/gguf_metadata.h"
#include "services/tokenizer/model_files.h"

namespace conclave::tokenizer {

/// Reads the keys tokenizer.ggml.* and tokenizer.chat_template
/// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Errors: FAILED_PRECONDITION (no tokenizer in
/// the file), UNIMPLEMENTED (a tokenizer that is not byte-level BPE), INVALID_ARGUMENT (a key of the wrong
/// kind).
Result<TokenizerFiles> ReadGgufTokenizer(const engine::GgufMetadata& metadata);

}  // namespace conclave::tokenizer
