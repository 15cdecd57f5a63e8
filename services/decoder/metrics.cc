#include "services/decoder/metrics.h"

#include <utility>

namespace conclave::decoder {

DecoderMetrics::DecoderMetrics(platform::Metrics& metrics)
    : levels_{{&metrics.Gauge(kRunningSequences), &SchedulerStatus::running},
              {&metrics.Gauge(kPausedSequences), &SchedulerStatus::paused},
              {&metrics.Gauge(kQueuedSequences), &SchedulerStatus::queued},
              {&metrics.Gauge(kKvUsedBytes), &SchedulerStatus::kv_bytes_used},
              {&metrics.Gauge(kKvTotalBytes), &SchedulerStatus::kv_bytes_total}},
      prefix_bytes_(&metrics.Gauge(kPrefixUsedBytes)),
      disk_bytes_(&metrics.Gauge(kPrefixDiskUsedBytes)),
      disk_hits_{&metrics.Counter(kPrefixDiskHitsTotal)},
      disk_misses_{&metrics.Counter(kPrefixDiskMissesTotal)},
      disk_evictions_{&metrics.Counter(kPrefixDiskEvictionsTotal)},
      disk_errors_{&metrics.Counter(kPrefixDiskErrorsTotal)},
      hits_{&metrics.Counter(kPrefixHitsTotal)},
      misses_{&metrics.Counter(kPrefixMissesTotal)},
      evictions_{&metrics.Counter(kPrefixEvictionsTotal)},
      prompt_{&metrics.Counter(kPromptTokensTotal)},
      cached_{&metrics.Counter(kCachedTokensTotal)},
      answers_{&metrics.Counter(kAnswerTokensTotal)},
      drafts_{&metrics.Counter(kDraftTokensTotal)},
      accepted_{&metrics.Counter(kAcceptedDraftTokensTotal)},
      step_seconds_(&metrics.Histogram(kStepSeconds, platform::DurationBucketsS())) {}

void DecoderMetrics::Update(const SchedulerStatus& status) {
  for (const Level& level : levels_) level.gauge->Set(static_cast<double>(status.*level.value));
  prefix_bytes_->Set(static_cast<double>(status.prefixes.bytes_used));
  hits_.Follow(status.prefixes.hits);
  misses_.Follow(status.prefixes.misses);
  evictions_.Follow(status.prefixes.evictions);
  disk_bytes_->Set(static_cast<double>(status.disk.bytes_used));
  disk_hits_.Follow(status.disk.hits);
  disk_misses_.Follow(status.disk.misses);
  disk_evictions_.Follow(status.disk.evictions);
  disk_errors_.Follow(status.disk.errors);
  prompt_.Follow(status.totals.prompt_tokens);
  cached_.Follow(status.totals.cached_prompt_tokens);
  answers_.Follow(status.totals.completion_tokens);
  drafts_.Follow(status.totals.draft_tokens);
  accepted_.Follow(status.totals.accepted_draft_tokens);
}

void DecoderMetrics::Total::Follow(int64_t total) {
  const int64_t grown = total - std::exchange(counted, total);
  if (grown > 0) counter->Increment(static_cast<double>(grown));
}

}  // namespace conclave::decoder
