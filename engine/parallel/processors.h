#pragma once

#include <filesystem>
#include <optional>
#include <thread>
#include <vector>

namespace conclave::engine {

/// The tightest CPU quota, in processors, of the cgroup that `membership` (the text format of
/// /proc/self/cgroup) names and of its ancestors, in version 2 ("cpu.max") or 1 ("cpu.cfs_quota_us") below
/// `mount`. nullopt: no quota. Source: the kernel's Documentation/admin-guide/cgroup-v2.rst and
/// scheduler/sched-bwc.rst.
std::optional<double> CgroupProcessors(const std::filesystem::path& membership,
                                       const std::filesystem::path& mount);

/// The processors of the calling thread's affinity mask, ascending; empty when the system does not say.
std::vector<int> AffinityProcessors();

/// Lets `thread` run on `processor` alone; whether the system agreed.
bool PinThread(std::thread& thread, int processor);

/// How many processors this process may use: its affinity mask and its cgroup's quota (rounded up), at
/// least 1.
int UsableProcessors();

}  // namespace conclave::engine
