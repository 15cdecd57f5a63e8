#include "engine/model/architecture.h"

#include "engine/model/architecture_sources.h"

namespace conclave::engine {
namespace {

Result<ModelDescription> Describe(const ModelFile& file) {
  const bool has_config = !file.config_json().empty();
  CONCLAVE_ASSIGN_OR_RETURN(ModelDescription description,
                            has_config ? DescribeConfig(file) : DescribeGguf(file));
  CONCLAVE_RETURN_IF_ERROR(CheckArchitecture(description.architecture));
  CONCLAVE_RETURN_IF_ERROR(CheckTensors(file, description));
  return description;
}

}  // namespace

void ApplyGptOss(Architecture& architecture) {
  architecture.attention_sinks = true;
  architecture.feed_forward = FeedForwardKind::kClampedSwiGlu;
  architecture.mixture.router_bias = true;
  architecture.mixture.expert_bias = true;
  architecture.mixture.renormalise = true;
}

std::string WeightNames::ForLayer(const std::string& pattern, int64_t layer) {
  const size_t at = pattern.find("{}");
  if (at == std::string::npos) return pattern;
  return pattern.substr(0, at) + std::to_string(layer) + pattern.substr(at + 2);
}

std::string WeightNames::BiasOf(const std::string& weight) {
  return weight.substr(0, weight.rfind("weight")) + "bias";
}

Result<ModelDescription> DescribeModel(const ModelFile& file) {
  Result<ModelDescription> description = Describe(file);
  if (!description.ok()) return description.status().Annotate(file.path());
  return description;
}

}  // namespace conclave::engine
