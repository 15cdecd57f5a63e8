#pragma once

#include <filesystem>

#include <rocksdb/status.h>

#include "base/status.h"

namespace conclave::platform {

/// What RocksDB's status means to the owner of the store at `path`; see DurableStore for the codes.
Status FromRocksDb(const rocksdb::Status& status, const std::filesystem::path& path);

/// The same for opening a store: also finds out who holds it.
Status FromRocksDbOpen(const rocksdb::Status& status, const std::filesystem::path& path);

}  // namespace conclave::platform
