#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace conclave::platform {

/// The six services, in the order in which a process starts them.
inline constexpr std::string_view kServiceNames[] = {"tokenizer", "experts",  "decoder",
                                                     "retriever", "feedback", "router"};

/// Where what the processes share is kept.
enum class StateBackend { kRocksDb, kRedis };

struct StateConfig {
  StateBackend backend = StateBackend::kRocksDb;
  /// "HOST:PORT" or "unix:PATH"; needed when the backend is redis.
  std::string redis;
  /// How long one call may take, in milliseconds.
  int64_t timeout_ms = 2000;
};

/// In what the decoder keeps keys and values. kBfloat16: float32 for a model whose weights are.
enum class KvType { kBfloat16, kInt8 };

/// As configuration files and flags say it.
constexpr const char* KvTypeName(KvType type) { return type == KvType::kInt8 ? "int8" : "bf16"; }

/// How a decoder's frames reach expert shards in other processes. kAuto: through memory where a shard is on
/// this machine and agrees, else on a gRPC stream. With kMemory there is no other way.
enum class ExpertTransport { kAuto, kStream, kMemory };

struct LimitsConfig {
  /// Requests that wait at the router for their turn, over all tenants.
  int64_t queued_requests = 256;
  /// Prompt tokens plus requested tokens of those that wait.
  int64_t queued_tokens = 1'000'000;
  /// Sequences that the decoder computes at once.
  int64_t running_sequences = 64;
  /// Tokens that the decoder computes in one step, prompts and answers together.
  int64_t step_tokens = 512;
  /// Memory of the decoder's keys and values; 0: a quarter of the machine's memory at most.
  int64_t kv_bytes = 0;
  /// Half the memory a token for a little less precision, and faster prompts where they are long.
  KvType kv_type = KvType::kBfloat16;
  /// Of kv_bytes, how much may keep what sequences computed, for prompts that begin alike; -1: half,
  /// 0: none.
  int64_t prefix_cache_bytes = -1;
  /// Disk for blocks that left prefix_cache_bytes, below data_dir/decoder; 0: none, and nothing is written.
  /// What lies there is derived from what people wrote, and is not encrypted.
  int64_t prefix_disk_bytes = int64_t{2} << 30;
  /// Of an answer's next tokens, how many are guessed from what its text said before and checked in one step;
  /// 0: none. No token changes by it.
  int64_t draft_tokens = 7;
  /// While prompts are computed, the steps of running answers may take so many percent of what they take
  /// without; 0: prompts fill every step, which serves most tokens.
  int64_t slowdown_percent = 250;
  /// The largest context that a sequence may have; 0: the model's own.
  int64_t context_tokens = 0;
  /// The largest gRPC message.
  int64_t message_bytes = 64 << 20;
  /// How long a stored conversation lives after its last use.
  int64_t session_ttl_s = 7 * 24 * 3600;
};

struct TlsConfig {
  /// PEM files: the server's certificate chain and its private key; both or neither.
  std::string certificate;
  std::string key;
  /// PEM file: clients must show a certificate signed by one of these; servers called by us are checked
  /// against it too.
  std::string client_ca;

  bool enabled() const { return !certificate.empty(); }
};

enum class LogLevel { kTrace, kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat { kText, kJson };

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
};

/// One process of an installation.
struct ProcessConfig {
  std::string name;
  /// Of kServiceNames; each at most once.
  std::vector<std::string> services;
  /// "unix:PATH" or "HOST:PORT" (port 0: any free one).
  std::string listen;
  /// Where the other processes find it, when that is not `listen` (which may be 0.0.0.0); empty: `listen`.
  std::string advertise;
  /// "HOST:PORT" for metrics and health; empty: none.
  std::string http;
  /// The experts of every feed-forward layer (of a dense one: its slices) that live here when `services` has
  /// "experts"; empty: all. What lives in several processes survives the loss of one.
  std::vector<int64_t> expert_slices;
};

/// The whole configuration of an installation. Every process reads the same one. The YAML keys are the
/// fields' names (but `experts: {slices}` is expert_slices); each scalar key is also a variable
/// (`limits.kv_bytes` is CONCLAVE_LIMITS_KV_BYTES), and `model`, `threads` and `data_dir` are flags too.
///
///     model: smollm2-135m-instruct       # a name in home/models, a .gguf file, or a folder
///     home: ~/.local/share/conclave      # models/, data/, keys/
///     data_dir: ${CONCLAVE_HOME}/data    # RocksDB folders
///     threads: 0                         # engine threads; 0: one for each core
///     pin_threads: false                 # each engine thread stays on one core
///     expert_transport: auto             # to expert shards: auto, stream or memory
///     state: {backend: rocksdb, redis: "127.0.0.1:6379", timeout_ms: 2000}
///     limits: {queued_requests: 256, queued_tokens: 1000000, running_sequences: 64, step_tokens: 512,
///              kv_bytes: 0, kv_type: bf16, prefix_cache_bytes: -1, prefix_disk_bytes: 2147483648,
///              draft_tokens: 7, slowdown_percent: 250, context_tokens: 0, message_bytes: 67108864,
///              session_ttl_s: 604800}
///     tls: {certificate: server.pem, key: server.key, client_ca: clients.pem}
///     insecure: false                    # listen beyond loopback without TLS
///     log: {level: info, format: text}   # trace debug info warning error off; text json
///     drain_timeout_ms: 30000
///     processes:
///       - {name: decoder, services: [decoder], listen: "unix:${CONCLAVE_HOME}/run/decoder.sock"}
///       - {name: experts-0, services: [experts], listen: "unix:...", experts: {slices: [0, 2-3]}}
///
/// In paths and addresses `${CONCLAVE_HOME}` (the value of `home`), `${DATA_DIR}` and `${HOME}` are replaced,
/// as is a leading "~/"; no other variable is. A byte count may end in KiB, MiB or GiB.
struct Config {
  std::string model = "smollm2-135m-instruct";
  std::filesystem::path home;
  std::filesystem::path data_dir;
  int64_t threads = 0;
  bool pin_threads = false;
  ExpertTransport expert_transport = ExpertTransport::kAuto;
  StateConfig state;
  LimitsConfig limits;
  TlsConfig tls;
  bool insecure = false;
  LogConfig log;
  int64_t drain_timeout_ms = 30'000;
  /// Never empty after LoadConfig: one process "conclave" with all services, 127.0.0.1:7400 and
  /// 127.0.0.1:7480, when the file has none.
  std::vector<ProcessConfig> processes;

  /// NOT_FOUND names the processes there are. An empty name means the only process there is.
  Result<const ProcessConfig*> ProcessNamed(std::string_view name) const;

  /// Where `service` is, seen from `from_process`: "inproc:PROCESS" when it lives in the same one (then only
  /// that), else the addresses of all processes that have it. Empty when none has.
  std::vector<std::string> AddressesOf(std::string_view service, const ProcessConfig& from_process) const;

  /// AddressesOf for every service, for a ChannelRegistry.
  std::map<std::string, std::vector<std::string>> AllAddresses(const ProcessConfig& from_process) const;
};

/// A value from the command line for a scalar key: {"limits.kv_bytes", "2GiB"}.
using ConfigOverride = std::pair<std::string, std::string>;

/// Reads the file (empty path: none), then the variables (name to value), then the overrides; expands,
/// checks. Errors: NOT_FOUND (no such file), INVALID_ARGUMENT: an unknown key (with file, line, and the
/// nearest valid key), a value of the wrong kind or outside its range, a service that two processes claim, an
/// address used twice. A variable CONCLAVE_* that is not known is refused only when it is within
/// two letters of a known one: others put variables there too (Kubernetes does for a service of this name).
Result<Config> LoadConfig(const std::filesystem::path& file,
                          const std::map<std::string, std::string>& environment,
                          const std::vector<ConfigOverride>& overrides);

/// This process's variables, for LoadConfig.
std::map<std::string, std::string> EnvironmentVariables();

}  // namespace conclave::platform
