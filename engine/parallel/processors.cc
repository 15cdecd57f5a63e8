#include "engine/parallel/processors.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

#include <pthread.h>
#include <sched.h>

namespace conclave::engine {
namespace {

namespace fs = std::filesystem;

/// Machines have fewer; the mask is asked for in growing sizes up to this.
constexpr int kMostProcessors = 1 << 16;
constexpr int kMostGroupDepth = 64;
constexpr int kMostMembershipLines = 256;

std::optional<double> QuotaV2(const fs::path& group) {
  std::ifstream file(group / "cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || !(period > 0)) return std::nullopt;
  const double value = std::strtod(quota.c_str(), nullptr);
  return value > 0 ? std::optional(value / period) : std::nullopt;
}

std::optional<double> QuotaV1(const fs::path& group) {
  double quota = 0;
  double period = 0;
  std::ifstream(group / "cpu.cfs_quota_us") >> quota;
  std::ifstream(group / "cpu.cfs_period_us") >> period;
  return quota > 0 && period > 0 ? std::optional(quota / period) : std::nullopt;
}

/// The least quota of `group` and its ancestors up to `mount`.
template <typename Quota>
std::optional<double> Tightest(const fs::path& mount, fs::path group, Quota quota) {
  std::optional<double> least;
  for (int depth = 0; depth < kMostGroupDepth; ++depth) {
    const std::optional<double> here = quota(mount / group);
    if (here && (!least || *here < *least)) least = here;
    if (group.empty()) break;
    group = group.parent_path();
  }
  return least;
}

bool NamesCpu(const std::string& controllers) {
  return ("," + controllers + ",").find(",cpu,") != std::string::npos;
}

}  // namespace

std::optional<double> CgroupProcessors(const fs::path& membership, const fs::path& mount) {
  std::ifstream file(membership);
  std::string line;
  std::optional<double> least;
  for (int i = 0; i < kMostMembershipLines && std::getline(file, line); ++i) {
    // "hierarchy:controllers:/path"; version 2 has hierarchy 0 and no controllers.
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = fs::path(line.substr(second + 1)).relative_path();
    std::optional<double> here;
    if (controllers.empty()) {
      here = Tightest(mount, group, QuotaV2);
    } else if (NamesCpu(controllers)) {
      here = Tightest(mount / "cpu", group, QuotaV1);
    }
    if (here && (!least || *here < *least)) least = here;
  }
  return least;
}

std::vector<int> AffinityProcessors() {
  std::vector<int> allowed;
  for (int processors = 1024; processors <= kMostProcessors; processors *= 2) {
    cpu_set_t* set = CPU_ALLOC(processors);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(processors);
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    for (int i = 0; known && i < processors; ++i) {
      if (CPU_ISSET_S(i, bytes, set)) allowed.push_back(i);
    }
    CPU_FREE(set);
    if (known) break;
  }
  return allowed;
}

bool PinThread(std::thread& thread, int processor) {
  cpu_set_t* set = CPU_ALLOC(processor + 1);
  if (set == nullptr) return false;
  const size_t bytes = CPU_ALLOC_SIZE(processor + 1);
  CPU_ZERO_S(bytes, set);
  CPU_SET_S(processor, bytes, set);
  const bool pinned = pthread_setaffinity_np(thread.native_handle(), bytes, set) == 0;
  CPU_FREE(set);
  return pinned;
}

int UsableProcessors() {
  const auto allowed = static_cast<int>(AffinityProcessors().size());
  int processors = allowed > 0 ? allowed : static_cast<int>(std::thread::hardware_concurrency());
  if (const auto quota = CgroupProcessors("/proc/self/cgroup", "/sys/fs/cgroup")) {
    processors = static_cast<int>(std::min<double>(processors, std::ceil(*quota)));
  }
  return std::max(1, processors);
}

}  // namespace conclave::engine
