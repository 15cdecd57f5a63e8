#include "services/decoder/metrics.h"

#include <gtest/gtest.h>

namespace conclave::decoder {
namespace {

TEST(DecoderMetricsTest, GaugesAreLevelsAndCountersFollowTotals) {
  platform::Metrics metrics;
  DecoderMetrics decoder(metrics);
  SchedulerStatus status{.running = 3, .paused = 1, .queued = 2, .kv_bytes_used = 5, .kv_bytes_total = 9};
  status.prefixes = {.bytes_used = 4, .hits = 7, .misses = 1, .evictions = 2};
  status.totals = {.prompt_tokens = 100,
                   .cached_prompt_tokens = 64,
                   .completion_tokens = 20,
                   .draft_tokens = 9,
                   .accepted_draft_tokens = 6};
  status.disk = {.bytes_used = 11, .hits = 12, .misses = 13, .evictions = 14, .errors = 15};
  decoder.Update(status);
  decoder.Update(status);
  EXPECT_EQ(metrics.Gauge(kRunningSequences).Value(), 3);
  EXPECT_EQ(metrics.Gauge(kPausedSequences).Value(), 1);
  EXPECT_EQ(metrics.Gauge(kQueuedSequences).Value(), 2);
  EXPECT_EQ(metrics.Gauge(kKvUsedBytes).Value(), 5);
  EXPECT_EQ(metrics.Gauge(kKvTotalBytes).Value(), 9);
  EXPECT_EQ(metrics.Gauge(kPrefixUsedBytes).Value(), 4);
  EXPECT_EQ(metrics.Counter(kPrefixHitsTotal).Value(), 7);
  EXPECT_EQ(metrics.Counter(kPrefixMissesTotal).Value(), 1);
  EXPECT_EQ(metrics.Counter(kPrefixEvictionsTotal).Value(), 2);
  EXPECT_EQ(metrics.Gauge(kPrefixDiskUsedBytes).Value(), 11);
  EXPECT_EQ(metrics.Counter(kPrefixDiskHitsTotal).Value(), 12);
  EXPECT_EQ(metrics.Counter(kPrefixDiskMissesTotal).Value(), 13);
  EXPECT_EQ(metrics.Counter(kPrefixDiskEvictionsTotal).Value(), 14);
  EXPECT_EQ(metrics.Counter(kPrefixDiskErrorsTotal).Value(), 15);
  EXPECT_EQ(metrics.Counter(kPromptTokensTotal).Value(), 100);
  EXPECT_EQ(metrics.Counter(kCachedTokensTotal).Value(), 64);
  EXPECT_EQ(metrics.Counter(kAnswerTokensTotal).Value(), 20);
  EXPECT_EQ(metrics.Counter(kDraftTokensTotal).Value(), 9);
  EXPECT_EQ(metrics.Counter(kAcceptedDraftTokensTotal).Value(), 6);
  status.running = 0;
  status.totals.completion_tokens = 21;
  decoder.Update(status);
  EXPECT_EQ(metrics.Gauge(kRunningSequences).Value(), 0);
  EXPECT_EQ(metrics.Counter(kAnswerTokensTotal).Value(), 21);
}

}  // namespace
}  // namespace conclave::decoder
