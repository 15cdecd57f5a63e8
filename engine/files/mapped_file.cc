#include "engine/files/mapped_file.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/files/limits.h"
#include "engine/files/quoted.h"

namespace conclave::engine {
namespace {

Status FromErrno(const std::string& path, const char* action, int error) {
  const std::string message =
      "cannot " + std::string(action) + " " + Quoted(path) + ": " + std::strerror(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR: return NotFound(message);
    case EACCES:
    case EPERM: return PermissionDenied(message);
    case ENOMEM:
    case EMFILE:
    case ENFILE: return ResourceExhausted(message);
    default: return InvalidArgument(message);
  }
}

/// Closes a file descriptor at the end of a scope; the mapping outlives it.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  int value() const { return value_; }

 private:
  int value_;
};

Status CheckMappable(const std::string& path, const struct stat& info) {
  if (S_ISDIR(info.st_mode)) return InvalidArgument(Quoted(path) + " is a folder, not a file");
  if (!S_ISREG(info.st_mode))
    return InvalidArgument(Quoted(path) + " is a device, pipe or socket, not a file");
  if (info.st_size == 0) return InvalidArgument(Quoted(path) + " is empty");
  if (static_cast<uint64_t>(info.st_size) > kMaxModelFileBytes) {
    return InvalidArgument(Quoted(path) + " is larger than any model file may be");
  }
  return Status::Ok();
}

}  // namespace

Result<MappedFile> MappedFile::Open(const std::string& path) {
  if (path.find('\0') != std::string::npos) return InvalidArgument("the path contains a null character");
  // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.value() < 0) return FromErrno(path, "open", errno);
  struct stat info = {};
  if (::fstat(file.value(), &info) != 0) return FromErrno(path, "read the size of", errno);
  CONCLAVE_RETURN_IF_ERROR(CheckMappable(path, info));
  const auto size_bytes = static_cast<size_t>(info.st_size);
  void* data = ::mmap(nullptr, size_bytes, PROT_READ, MAP_PRIVATE, file.value(), 0);
  if (data == MAP_FAILED) return FromErrno(path, "map", errno);
  return MappedFile(path, static_cast<const std::byte*>(data), size_bytes);
}

void MappedFile::DropPages() const {
  // The mapping is private and never written to, so nothing can be lost.
  if (data_ != nullptr) (void)::madvise(const_cast<std::byte*>(data_), size_bytes_, MADV_DONTNEED);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_bytes_);
}

}  // namespace conclave::engine
