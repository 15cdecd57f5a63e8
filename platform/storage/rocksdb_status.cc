#include "platform/storage/rocksdb_status.h"

#include <string>

#include <fcntl.h>
#include <unistd.h>

namespace conclave::platform {
namespace {

/// The process that holds the lock file, or 0. Not to be called when this process may hold it: closing any
/// descriptor of a file gives up all of a process's locks on it (fcntl(2)).
pid_t HolderOf(const std::filesystem::path& lock_file) {
  const int descriptor = open(lock_file.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return 0;
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  const bool asked = fcntl(descriptor, F_GETLK, &lock) == 0;
  close(descriptor);
  return asked && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

Status Locked(const std::string& where, const std::string& holder) {
  return FailedPrecondition("the data directory " + where + " is in use by " + holder +
                            "; stop that one, or choose another data_dir");
}

}  // namespace

Status FromRocksDb(const rocksdb::Status& status, const std::filesystem::path& path) {
  if (status.ok()) return Status::Ok();
  const std::string where = path.string();
  if (status.IsNoSpace()) {
    return ResourceExhausted("the disk that holds " + where +
                             " is full; nothing of this change was kept: free some space");
  }
  if (status.IsCorruption()) {
    return DataLoss("the data in " + where + " is damaged (" + status.ToString() +
                    "); restore it from a backup");
  }
  return Unavailable("the store in " + where + " failed: " + status.ToString());
}

Status FromRocksDbOpen(const rocksdb::Status& status, const std::filesystem::path& path) {
  const std::string text = status.ToString();
  const std::string where = path.string();
  if (text.find("lock hold by current process") != std::string::npos)
    return Locked(where, "this very process");
  if (text.find("While lock file") != std::string::npos) {
    const pid_t holder = HolderOf(path / "LOCK");
    return Locked(where, holder > 0 ? "process " + std::to_string(holder) : "another process");
  }
  if (text.find("Permission denied") != std::string::npos || text.find("Read-only") != std::string::npos) {
    return FailedPrecondition("the data directory " + where + " may not be written by this user: " + text);
  }
  if (status.IsNotFound() || status.IsPathNotFound() || text.find("No such file") != std::string::npos) {
    return DataLoss("files are missing from " + where + " (" + text + "); restore it from a backup");
  }
  return FromRocksDb(status, path);
}

}  // namespace conclave::platform
