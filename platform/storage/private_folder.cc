#include "platform/storage/private_folder.h"

#include <system_error>

namespace conclave::platform {

Status MakePrivateFolder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error) std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  if (!error) return Status::Ok();
  return FailedPrecondition("cannot make the data directory " + folder.string() + ": " + error.message() +
                            "; choose another with --data-dir, or everything's place with CONCLAVE_HOME");
}

}  // namespace conclave::platform
