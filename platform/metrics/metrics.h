#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace conclave::platform {

/// Label name to value.
using MetricLabels = std::map<std::string, std::string>;

/// What a metric is called and means. Every folder declares its own in one `metrics.h` as constants; the
/// names are listed in tests/unit/platform/metric_names.golden, so that renaming one is a deliberate act.
struct MetricDefinition {
  /// "conclave_<service>_<what>_<unit>"; counters end in "_total".
  std::string name;
  std::string help;
};

/// The metrics of one process. The references stay valid as long as the Metrics; keep them instead of asking
/// again. Any thread may call. A family holds at most kMaxSeriesPerMetric label combinations: further ones
/// all share one series whose label values are "other", so that a hostile label value cannot fill the memory.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  prometheus::Counter& Counter(const MetricDefinition& definition, const MetricLabels& labels = {});
  prometheus::Gauge& Gauge(const MetricDefinition& definition, const MetricLabels& labels = {});
  /// `buckets`: ascending upper bounds.
  prometheus::Histogram& Histogram(const MetricDefinition& definition, const std::vector<double>& buckets,
                                   const MetricLabels& labels = {});

  /// Prometheus text format 0.0.4.
  std::string Exposition() const;

  /// The names of all families, sorted.
  std::vector<std::string> Names() const;

 private:
  template <typename Metric>
  using Families = std::map<std::string, prometheus::Family<Metric>*>;

  MetricLabels BoundedLabelsLocked(const std::string& name, const MetricLabels& labels);

  std::shared_ptr<prometheus::Registry> registry_;
  mutable std::mutex mutex_;
  // All below are guarded by mutex_.
  std::map<std::string, std::set<MetricLabels>> series_;
  Families<prometheus::Counter> counters_;
  Families<prometheus::Gauge> gauges_;
  Families<prometheus::Histogram> histograms_;
};

/// Upper bounds for durations in seconds, 100 microseconds to 100 seconds.
const std::vector<double>& DurationBucketsS();

}  // namespace conclave::platform
