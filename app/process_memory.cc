#include "app/process_memory.h"

#include <fstream>
#include <sstream>
#include <string>

namespace conclave::app {

Result<ProcessMemory> MemoryOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  if (!file) return NotFound("there is no process " + std::to_string(pid));
  ProcessMemory memory{.resident = -1, .anonymous = -1};
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t kib = 0;
    if (!(words >> name >> kib)) continue;
    if (name == "Rss:") memory.resident = kib << 10;
    if (name == "Anonymous:") memory.anonymous = kib << 10;
  }
  if (memory.resident < 0 || memory.anonymous < 0) {
    return Internal("cannot read the memory of the process " + std::to_string(pid));
  }
  return memory;
}

}  // namespace conclave::app
