#pragma once

#include "app/cli.h"

namespace conclave::app {

/// Adds `convert upcycle`.
void AddUpcycle(CLI::App& convert, CommandRunner& chosen);

}  // namespace conclave::app
