#include "platform/metrics/metrics.h"

#include <prometheus/text_serializer.h>

#include "platform/metrics/limits.h"

namespace conclave::platform {

Metrics::Metrics() : registry_(std::make_shared<prometheus::Registry>()) {}
// Who used them last may have ended where the thread sanitizer does not look (a library that is not built
// with it).
Metrics::~Metrics() { std::lock_guard lock(mutex_); }

MetricLabels Metrics::BoundedLabelsLocked(const std::string& name, const MetricLabels& labels) {
  auto& known = series_[name];
  if (known.contains(labels)) return labels;
  if (known.size() < kMaxSeriesPerMetric) {
    known.insert(labels);
    return labels;
  }
  MetricLabels other = labels;
  for (auto& [label, value] : other) value = "other";
  return other;
}

prometheus::Counter& Metrics::Counter(const MetricDefinition& definition, const MetricLabels& labels) {
  std::lock_guard lock(mutex_);
  auto& family = counters_[definition.name];
  if (family == nullptr) {
    family = &prometheus::BuildCounter().Name(definition.name).Help(definition.help).Register(*registry_);
  }
  return family->Add(BoundedLabelsLocked(definition.name, labels));
}

prometheus::Gauge& Metrics::Gauge(const MetricDefinition& definition, const MetricLabels& labels) {
  std::lock_guard lock(mutex_);
  auto& family = gauges_[definition.name];
  if (family == nullptr) {
    family = &prometheus::BuildGauge().Name(definition.name).Help(definition.help).Register(*registry_);
  }
  return family->Add(BoundedLabelsLocked(definition.name, labels));
}

prometheus::Histogram& Metrics::Histogram(const MetricDefinition& definition,
                                          const std::vector<double>& buckets, const MetricLabels& labels) {
  std::lock_guard lock(mutex_);
  auto& family = histograms_[definition.name];
  if (family == nullptr) {
    family = &prometheus::BuildHistogram().Name(definition.name).Help(definition.help).Register(*registry_);
  }
  return family->Add(BoundedLabelsLocked(definition.name, labels), buckets);
}

std::string Metrics::Exposition() const {
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

std::vector<std::string> Metrics::Names() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, labels] : series_) names.push_back(name);
  return names;
}

const std::vector<double>& DurationBucketsS() {
  static const std::vector<double> buckets{0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1,
                                           0.3,    1,      3,     10,    30,   100};
  return buckets;
}

}  // namespace conclave::platform
