#include "platform/code_pages.h"

#ifdef __linux__
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace conclave::platform {

#ifdef __linux__
namespace {

/// Only what nobody can have written to may be dropped: a segment that is never writable, of a file whose
/// code the loader did not patch.
bool HasPatchedCode(const dl_phdr_info& object) {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const ElfW(Phdr) & header = object.dlpi_phdr[i];
    if (header.p_type != PT_DYNAMIC) continue;
    const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(object.dlpi_addr + header.p_vaddr);
    for (; entry->d_tag != DT_NULL; ++entry) {
      if (entry->d_tag == DT_TEXTREL) return true;
      if (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0) return true;
    }
  }
  return false;
}

int DropPagesOf(dl_phdr_info* object, size_t, void* dropped) {
  if (HasPatchedCode(*object)) return 0;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr) & header = object->dlpi_phdr[i];
    if (header.p_type != PT_LOAD || (header.p_flags & PF_W) != 0) continue;
    // A page at an end may be shared with a neighbour that is writable.
    const uintptr_t begin = (object->dlpi_addr + header.p_vaddr + page - 1) / page * page;
    const uintptr_t end = (object->dlpi_addr + header.p_vaddr + header.p_memsz) / page * page;
    if (begin >= end) continue;
    if (madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED) == 0) {
      *static_cast<int64_t*>(dropped) += static_cast<int64_t>(end - begin);
    }
  }
  return 0;
}

}  // namespace

int64_t DropCodePages() {
  int64_t dropped = 0;
  dl_iterate_phdr(DropPagesOf, &dropped);
  return dropped;
}
#else
int64_t DropCodePages() { return 0; }
#endif

}  // namespace conclave::platform
