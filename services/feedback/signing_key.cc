#include "services/feedback/signing_key.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services/feedback/limits.h"
#include "services/feedback/vote_token.h"

namespace conclave::feedback {
namespace {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

Status SystemError(const std::string& what, const std::filesystem::path& path) {
  return Unavailable(what + " " + path.string() + ": " + std::strerror(errno));
}

Result<std::string> Load(const std::filesystem::path& path, int descriptor) {
  struct stat info{};
  if (fstat(descriptor, &info) != 0) return SystemError("cannot examine the vote token key", path);
  if (!S_ISREG(info.st_mode) || info.st_size != static_cast<off_t>(kSigningKeyBytes)) {
    return FailedPrecondition(
        "the vote token key " + path.string() + " does not hold " + std::to_string(kSigningKeyBytes) +
        " bytes: restore it, or remove it to make a new one (open vote tokens become void)");
  }
  if ((info.st_mode & 077) != 0) {
    return FailedPrecondition("others may read the vote token key: run chmod 600 " + path.string());
  }
  std::string key(kSigningKeyBytes, '\0');
  if (pread(descriptor, key.data(), key.size(), 0) != static_cast<ssize_t>(key.size())) {
    return SystemError("cannot read the vote token key", path);
  }
  return key;
}

Status WriteNew(const std::filesystem::path& path, const std::string& key) {
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return SystemError("cannot create", path);
  if (fchmod(file.get(), 0600) != 0 ||
      write(file.get(), key.data(), key.size()) != static_cast<ssize_t>(key.size()) ||
      fsync(file.get()) != 0) {
    return SystemError("cannot write", path);
  }
  return Status::Ok();
}

Status SyncFolder(const std::filesystem::path& folder) {
  const Descriptor descriptor(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0 || fsync(descriptor.get()) != 0)
    return SystemError("cannot sync the folder", folder);
  return Status::Ok();
}

/// Puts a new key at `path` unless one is there by then: the file appears whole or not at all.
Status Create(const std::filesystem::path& path) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::string key, RandomBytes(kSigningKeyBytes));
  std::filesystem::path partial = path;
  partial += "." + std::to_string(getpid()) + ".partial";
  const Status written = WriteNew(partial, key);
  const bool linked = written.ok() && (link(partial.c_str(), path.c_str()) == 0 || errno == EEXIST);
  const Status result =
      linked || !written.ok() ? written : SystemError("cannot create the vote token key", path);
  unlink(partial.c_str());
  CONCLAVE_RETURN_IF_ERROR(result);
  return SyncFolder(path.has_parent_path() ? path.parent_path() : ".");
}

}  // namespace

Result<std::string> LoadOrCreateSigningKey(const std::filesystem::path& path) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (file.get() >= 0) return Load(path, file.get());
    if (errno != ENOENT) return SystemError("cannot open the vote token key", path);
    if (attempt == 0) CONCLAVE_RETURN_IF_ERROR(Create(path));
  }
  return Unavailable("the vote token key " + path.string() + " vanished while it was read");
}

}  // namespace conclave::feedback
