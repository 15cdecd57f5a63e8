#include "platform/exchange/shared_region.h"

#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace conclave::platform {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

std::string Reason() { return std::strerror(errno); }

/// The size of a sealed region. `descriptor` may be anything that a peer named.
Result<size_t> SealedSize(int descriptor, size_t most_bytes) {
  struct stat file{};
  const bool sealed = (fcntl(descriptor, F_GET_SEALS) & kSeals) == kSeals;
  if (!sealed || fstat(descriptor, &file) != 0 || !S_ISREG(file.st_mode)) {
    return InvalidArgument("the descriptor that was named is no sealed memory");
  }
  const auto size = static_cast<size_t>(file.st_size);
  if (size > 0 && size <= most_bytes) return size;
  return InvalidArgument("the shared memory has " + std::to_string(size) + " bytes; 1 to " +
                         std::to_string(most_bytes) + " are allowed");
}

}  // namespace

Result<std::unique_ptr<SharedRegion>> SharedRegion::Map(int descriptor, size_t size) {
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (data == MAP_FAILED) {
    Status failed = ResourceExhausted("cannot map shared memory: " + Reason());
    close(descriptor);
    return failed;
  }
  return std::unique_ptr<SharedRegion>(new SharedRegion(descriptor, static_cast<std::byte*>(data), size));
}

Result<std::unique_ptr<SharedRegion>> SharedRegion::Create(size_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t size = (bytes + page - 1) / page * page;
  const int descriptor = memfd_create("conclave-exchange", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return ResourceExhausted("cannot create shared memory: " + Reason());
  const bool sized =
      ftruncate(descriptor, static_cast<off_t>(size)) == 0 && fcntl(descriptor, F_ADD_SEALS, kSeals) == 0;
  if (!sized) {
    Status failed = ResourceExhausted("cannot size shared memory: " + Reason());
    close(descriptor);
    return failed;
  }
  return Map(descriptor, size);
}

Result<std::unique_ptr<SharedRegion>> SharedRegion::OpenFrom(pid_t process, int descriptor,
                                                             size_t most_bytes) {
  const std::string path = "/proc/" + std::to_string(process) + "/fd/" + std::to_string(descriptor);
  const int opened = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (opened < 0) return Unavailable("cannot open the caller's memory: " + Reason());
  auto size = SealedSize(opened, most_bytes);
  if (!size.ok()) {
    close(opened);
    return size.status();
  }
  return Map(opened, *size);
}

SharedRegion::~SharedRegion() {
  munmap(data_, size_);
  CloseDescriptor();
}

void SharedRegion::CloseDescriptor() {
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
}

}  // namespace conclave::platform
