#pragma once

#include <string>

#include "base/result.h"
#include "platform/config/config.h"
#include "platform/module.h"

namespace conclave::app {

/// Finds the model that `config.model` names: a .gguf file, a folder with config.json, or a name below
/// `config.home`/models (a folder that holds one of these). Its hash is computed once and remembered beside
/// the models, by path, size and time of change. Errors: NOT_FOUND that lists the models there are and how to
/// get the default one.
Result<platform::ModelSource> FindModel(const platform::Config& config);

}  // namespace conclave::app
