#pragma once

#include <memory>

#include "base/result.h"
#include "platform/module.h"

namespace conclave::retriever {

/// The retriever service over the index in data_dir / "retriever". Errors: FAILED_PRECONDITION (another
/// process has the index open; another version wrote it), DATA_LOSS, RESOURCE_EXHAUSTED (the disk is full).
Result<std::unique_ptr<platform::ServiceModule>> MakeRetrieverModule(const platform::ModuleContext& context);

}  // namespace conclave::retriever
