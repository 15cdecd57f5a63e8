#pragma once

#include <memory>
#include <vector>

#include "services/tokenizer/pre_tokenizer.h"

namespace conclave::tokenizer {

/// Where the match that begins at `at` ends; `at` when none begins there. Takes constant time when there is
/// none.
using MatchFunction = size_t (*)(std::string_view text, size_t at);

/// Cuts the matches out; what lies between them are pieces too.
std::shared_ptr<const PreTokenizer> MakeIsolatingSplitter(MatchFunction match);

/// Each stage cuts the pieces of the one before.
std::shared_ptr<const PreTokenizer> MakeStagedSplitter(
    std::vector<std::shared_ptr<const PreTokenizer>> stages);

/// DeepSeek's first models and Falcon, as their tokenizer.json describe them.
std::shared_ptr<const PreTokenizer> MakeDeepSeekLlmSplitter();
std::shared_ptr<const PreTokenizer> MakeDeepSeekCoderSplitter();
std::shared_ptr<const PreTokenizer> MakeFalconSplitter();

}  // namespace conclave::tokenizer
