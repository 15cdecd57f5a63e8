#pragma once

#include <cstdint>

#include "base/result.h"
#include "engine/files/gguf_writer.h"
#include "services/tokenizer/model_files.h"

namespace conclave::tokenizer {

/// The keys tokenizer.ggml.* and tokenizer.chat_template for a GGUF file: ReadGgufTokenizer reads the same
/// tokenizer from them, and so does llama.cpp. `rows` is how many the embedding table has: a shorter
/// vocabulary is filled up with unused tokens, as models pad their tables. Errors: those of
/// ModelTokenizer::Create; INVALID_ARGUMENT (more tokens than rows), UNIMPLEMENTED (a combination of
/// splitting, merging and normalising that no name of a pre-tokenizer stands for; more end tokens than a file
/// has keys for).
Result<engine::GgufPairs> TokenizerAsGguf(TokenizerFiles files, int64_t rows);

}  // namespace conclave::tokenizer
