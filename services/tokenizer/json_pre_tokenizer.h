#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"

namespace conclave::tokenizer {

/// The name (see FindPreTokenizer) of what a tokenizer.json's "pre_tokenizer" does.
/// Errors: UNIMPLEMENTED, naming what is not known.
Result<std::string> NameJsonPreTokenizer(const nlohmann::json& pre_tokenizer);

/// Whether a tokenizer.json's "normalizer" is NFC; false for none. Errors: UNIMPLEMENTED.
Result<bool> ReadJsonNormalizer(const nlohmann::json& normalizer);

/// The token that a tokenizer.json's "post_processor" puts in front of a text; empty for none.
/// Errors: UNIMPLEMENTED (it puts anything elsewhere).
Result<std::string> ReadJsonBeginToken(const nlohmann::json& post_processor);

}  // namespace conclave::tokenizer
