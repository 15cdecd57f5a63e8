#include "app/temporary_folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

namespace conclave::app {

Result<std::unique_ptr<TemporaryFolder>> TemporaryFolder::Make() {
  std::string pattern = (std::filesystem::temp_directory_path() / "conclave-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    return Internal("cannot make a temporary folder " + pattern + ": " + std::strerror(errno));
  }
  return std::unique_ptr<TemporaryFolder>(new TemporaryFolder(pattern));
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace conclave::app
