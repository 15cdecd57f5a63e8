#pragma once

#include <filesystem>
#include <optional>

namespace conclave::engine {

/// The tightest CPU quota, in processors, of the cgroup that `membership` (the text format of
/// /proc/self/cgroup) names and of its ancestors, in version 2 ("cpu.max") or 1 ("cpu.cfs_quota_us") below
/// `mount`. nullopt: no quota. Source: the kernel's Documentation/admin-guide/cgroup-v2.rst and
/// scheduler/sched-bwc.rst.
std::optional<double> CgroupProcessors(const std::filesystem::path& membership,
                                       const std::filesystem::path& mount);

/// How many processors this process may use: its affinity mask and its cgroup's quota (rounded up), at
/// least 1.
int UsableProcessors();

}  // namespace conclave::engine
