#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "services/tokenizer/model_files.h"

namespace conclave::tokenizer {

/// The texts of the files that a Hugging Face model folder describes its tokenizer with; empty where one is
/// absent.
struct TokenizerFolderTexts {
  std::string tokenizer_json;
  std::string tokenizer_config_json;
  std::string generation_config_json;
  std::string config_json;
  std::string chat_template_jinja;
};

/// Reads a tokenizer.json of type BPE with byte-level spelling, as `tokenizers` writes it, and what its
/// companions say about special tokens and the chat template. What would change the pieces and is not known
/// is refused. Errors: UNIMPLEMENTED (names the construct), INVALID_ARGUMENT (malformed).
Result<TokenizerFiles> ReadTokenizerJson(const TokenizerFolderTexts& texts);

/// The same for a folder. Errors: NOT_FOUND (no tokenizer.json), PERMISSION_DENIED, and as above.
Result<TokenizerFiles> ReadTokenizerFolder(const std::string& folder);

}  // namespace conclave::tokenizer
