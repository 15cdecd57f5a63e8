#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"

namespace conclave::app {

/// A new folder that only this user may enter; it goes, with everything in it, when this is destroyed.
class TemporaryFolder {
 public:
  /// Errors: INTERNAL.
  static Result<std::unique_ptr<TemporaryFolder>> Make();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path path_;
};

}  // namespace conclave::app
