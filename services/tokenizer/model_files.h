#pragma once

#include <string>

#include "base/result.h"
#include "services/tokenizer/vocabulary.h"

namespace conclave::tokenizer {

/// What a model's files say about its tokenizer.
struct TokenizerFiles {
  VocabularyParts vocabulary;
  /// Empty when the model has none.
  std::string chat_template;
};

/// Reads a .gguf file, or a folder with tokenizer.json. Errors: those of engine::OpenModelFile,
/// ReadGgufTokenizer and ReadTokenizerFolder.
Result<TokenizerFiles> ReadTokenizerFiles(const std::string& model_path);

}  // namespace conclave::tokenizer
