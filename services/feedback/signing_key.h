#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace conclave::feedback {

/// The secret that vote tokens are signed with: kSigningKeyBytes bytes in `path`. Makes a random one,
/// readable by its owner only (0600), when there is none; the file and its folder entry are on disk before
/// this returns, and of two processes that make it at once both get the same. kFailedPrecondition when others
/// may read the file or its size is wrong: a key that someone else knows lets them vote.
Result<std::string> LoadOrCreateSigningKey(const std::filesystem::path& path);

}  // namespace conclave::feedback
