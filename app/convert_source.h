#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/quantise/quantise_source.h"
#include "platform/config/config.h"

namespace conclave::app {

/// The .gguf file or the folder that `in` names. Errors: those of FindModel.
Result<std::string> ConvertSourcePath(const std::string& in, const platform::Config& config);

/// The model in a .gguf file, or in a folder with its tokenizer. Errors: those of OpenGgufSource,
/// OpenFolderSource, ReadTokenizerFolder and TokenizerAsGguf.
Result<engine::QuantiseSource> OpenConvertSource(const std::string& in, bool requantise);

/// What is known to fail later anyway, before any time is spent. Errors: INVALID_ARGUMENT (both are one
/// file), ALREADY_EXISTS.
Status CheckConvertPaths(const std::string& in, const std::string& out, bool force);

/// The tokens of a text file as the model in `in` reads it. Errors: those of ReadWholeFile,
/// LoadModelTokenizer and Encode.
Result<std::vector<int32_t>> CalibrationTokens(const std::string& text_path, const std::string& in);

}  // namespace conclave::app
