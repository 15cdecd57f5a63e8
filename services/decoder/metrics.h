#pragma once

#include <vector>

#include "platform/metrics/metrics.h"
#include "services/decoder/scheduler.h"

namespace conclave::decoder {

inline const platform::MetricDefinition kRunningSequences{"conclave_decoder_running_sequences",
                                                          "Sequences with a place in the cache."};
inline const platform::MetricDefinition kPausedSequences{
    "conclave_decoder_paused_sequences", "Of the running sequences, those that wait for their reader."};
inline const platform::MetricDefinition kQueuedSequences{"conclave_decoder_queued_sequences",
                                                         "Sequences that wait for a place."};
inline const platform::MetricDefinition kKvUsedBytes{
    "conclave_decoder_kv_used_bytes", "Keys and values that sequences or the prefix cache hold."};
inline const platform::MetricDefinition kKvTotalBytes{"conclave_decoder_kv_bytes",
                                                      "Room for keys and values."};
inline const platform::MetricDefinition kPrefixUsedBytes{"conclave_decoder_prefix_cache_used_bytes",
                                                         "Keys and values that the prefix cache holds."};
inline const platform::MetricDefinition kPrefixHitsTotal{"conclave_decoder_prefix_cache_hits_total",
                                                         "Sequences that began with cached blocks."};
inline const platform::MetricDefinition kPrefixMissesTotal{
    "conclave_decoder_prefix_cache_misses_total", "Sequences for which the prefix cache had nothing."};
inline const platform::MetricDefinition kPrefixEvictionsTotal{"conclave_decoder_prefix_cache_evictions_total",
                                                              "Blocks that left the prefix cache."};
inline const platform::MetricDefinition kPrefixDiskUsedBytes{"conclave_decoder_prefix_disk_used_bytes",
                                                             "Keys and values that are kept on disk."};
inline const platform::MetricDefinition kPrefixDiskHitsTotal{"conclave_decoder_prefix_disk_hits_total",
                                                             "Sequences that blocks from disk continued."};
inline const platform::MetricDefinition kPrefixDiskMissesTotal{"conclave_decoder_prefix_disk_misses_total",
                                                               "Sequences for which the disk had no block."};
inline const platform::MetricDefinition kPrefixDiskEvictionsTotal{
    "conclave_decoder_prefix_disk_evictions_total", "Blocks that its budget or damage removed from disk."};
inline const platform::MetricDefinition kPrefixDiskErrorsTotal{"conclave_decoder_prefix_disk_errors_total",
                                                               "Failures of the store of keys and values."};
inline const platform::MetricDefinition kPromptTokensTotal{"conclave_decoder_prompt_tokens_total",
                                                           "Prompt tokens that were computed."};
inline const platform::MetricDefinition kCachedTokensTotal{"conclave_decoder_cached_prompt_tokens_total",
                                                           "Prompt tokens that were computed before."};
inline const platform::MetricDefinition kAnswerTokensTotal{"conclave_decoder_completion_tokens_total",
                                                           "Answer tokens."};
inline const platform::MetricDefinition kDraftTokensTotal{"conclave_decoder_draft_tokens_total",
                                                          "Answer tokens that were guessed."};
inline const platform::MetricDefinition kAcceptedDraftTokensTotal{
    "conclave_decoder_accepted_draft_tokens_total", "Guessed tokens that the model then said."};
inline const platform::MetricDefinition kStepSeconds{"conclave_decoder_step_seconds",
                                                     "How long a step over all running sequences took."};

/// What the scheduler's thread tells the metrics. Used by one thread at a time; the Metrics must outlive it.
class DecoderMetrics {
 public:
  explicit DecoderMetrics(platform::Metrics& metrics);

  /// `status`: as it is now; its totals may only have grown since the last time.
  void Update(const SchedulerStatus& status);
  void CountStep(double seconds) { step_seconds_->Observe(seconds); }

 private:
  struct Level {
    prometheus::Gauge* gauge;
    int64_t SchedulerStatus::* value;
  };
  /// A counter that follows a total which is counted elsewhere.
  struct Total {
    prometheus::Counter* counter;
    int64_t counted = 0;
    void Follow(int64_t total);
  };

  std::vector<Level> levels_;
  prometheus::Gauge* prefix_bytes_;
  prometheus::Gauge* disk_bytes_;
  Total disk_hits_, disk_misses_, disk_evictions_, disk_errors_;
  Total hits_, misses_, evictions_, prompt_, cached_, answers_, drafts_, accepted_;
  prometheus::Histogram* step_seconds_;
};

}  // namespace conclave::decoder
