#include "engine/files/new_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "engine/files/quoted.h"

namespace conclave::engine {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

Status FromErrno(const std::string& path, int error) {
  const std::string message = "cannot write " + Quoted(path) + ": " + std::strerror(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR: return NotFound(message);
    case EACCES:
    case EPERM:
    case EROFS: return PermissionDenied(message);
    case EEXIST: return AlreadyExists(message);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE: return ResourceExhausted(message);
    default: return InvalidArgument(message);
  }
}

std::filesystem::path FolderOf(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? std::filesystem::path(".") : folder;
}

/// Makes the renaming itself durable. A file system that cannot flush a folder is no reason to fail.
void SyncFolder(const std::string& path) {
  const int folder = ::open(FolderOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  ::fsync(folder);
  ::close(folder);
}

}  // namespace

std::string NewFile::PartialPath(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename().string();
  return (FolderOf(path) / ("." + name + "." + std::to_string(::getpid()) + ".partial")).string();
}

Result<NewFile> NewFile::Create(std::string path, uint64_t size_bytes, bool replace) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return InvalidArgument(Quoted(path) + " is a folder");
  if (!replace && std::filesystem::exists(std::filesystem::symlink_status(path, ignored))) {
    return AlreadyExists(Quoted(path) + " exists already");
  }
  std::string partial = PartialPath(path);
  const int descriptor = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return FromErrno(path, errno);
  NewFile file(std::move(path), std::move(partial), descriptor, replace);
  CONCLAVE_RETURN_IF_ERROR(file.Reserve(size_bytes));
  return file;
}

NewFile::NewFile(NewFile&& other) noexcept
    : path_(std::move(other.path_)),
      partial_(std::exchange(other.partial_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)),
      replace_(other.replace_),
      written_(other.written_),
      buffer_(std::move(other.buffer_)) {}

NewFile::~NewFile() {
  Close();
  if (!partial_.empty()) ::unlink(partial_.c_str());
}

void NewFile::Close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

Status NewFile::Reserve(uint64_t size_bytes) {
  if (size_bytes == 0) return Status::Ok();
  // Unlike posix_fallocate, this never writes zeros where the file system cannot reserve.
  if (::fallocate(descriptor_, 0, 0, static_cast<off_t>(size_bytes)) == 0) {
    return Status::Ok();
  }
  if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG) return Status::Ok();
  return ResourceExhausted("cannot write " + Quoted(path_) + ": it will have " + std::to_string(size_bytes) +
                           " bytes; " + std::strerror(errno));
}

Status NewFile::Write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FromErrno(path_, errno);
    written_ += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return Status::Ok();
}

Status NewFile::Append(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) {
    CONCLAVE_RETURN_IF_ERROR(Write(buffer_));
    buffer_.clear();
    if (bytes.size() > kBufferBytes) return Write(bytes);
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  return Status::Ok();
}

Status NewFile::Rename() {
  const unsigned flags = replace_ ? 0 : RENAME_NOREPLACE;
  if (::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, path_.c_str(), flags) == 0) return Status::Ok();
  if (errno != EINVAL && errno != ENOSYS) return FromErrno(path_, errno);
  // A file system without RENAME_NOREPLACE: a link is refused when the name is taken, too.
  if (::link(partial_.c_str(), path_.c_str()) != 0) return FromErrno(path_, errno);
  ::unlink(partial_.c_str());
  return Status::Ok();
}

Status NewFile::Commit() {
  CONCLAVE_RETURN_IF_ERROR(Write(buffer_));
  buffer_.clear();
  if (::ftruncate(descriptor_, static_cast<off_t>(written_)) != 0) return FromErrno(path_, errno);
  if (::fsync(descriptor_) != 0) return FromErrno(path_, errno);
  CONCLAVE_RETURN_IF_ERROR(Rename());
  partial_.clear();
  Close();
  SyncFolder(path_);
  return Status::Ok();
}

}  // namespace conclave::engine
