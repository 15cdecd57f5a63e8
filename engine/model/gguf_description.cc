#include "engine/model/gguf_description.h"

#include "engine/files/quoted.h"
#include "engine/model/gguf_families.h"
#include "engine/model/rope.h"

namespace conclave::engine {
namespace {

using Kind = RopeScaling::Kind;

/// Adds keys below the family's name.
class Keys {
 public:
  Keys(std::string_view family, GgufPairs& pairs) : prefix_(std::string(family) + "."), pairs_(pairs) {}

  void Whole(const std::string& key, int64_t value) {
    pairs_.AddUint32(prefix_ + key, static_cast<uint32_t>(value));
  }
  void Number(const std::string& key, double value) {
    pairs_.AddFloat32(prefix_ + key, static_cast<float>(value));
  }
  void Text(const std::string& key, std::string_view value) { pairs_.AddText(prefix_ + key, value); }

 private:
  const std::string prefix_;
  GgufPairs& pairs_;
};

/// What the family means without saying it must be so.
Status CheckSayable(const Architecture& a, const GgufFamily& family) {
  const std::string file = "a GGUF file of the family " + Quoted(std::string(family.name)) + " cannot say ";
  const ExpertMixture& mixture = a.mixture;
  if (a.projection_clip > 0.0) return Unimplemented(file + "that projections are clipped ('clip_qkv')");
  if (family.gpt_oss || family.deepseek) {
    return Unimplemented("folders of " + Quoted(a.family) +
                         " are not written as GGUF files: use a GGUF file of the model");
  }
  if (!mixture.dense_layers.empty()) return Unimplemented(file + "which layers are dense");
  if (mixture.experts > 0 && mixture.renormalise != family.renormalise) {
    return Unimplemented(file + "'norm_topk_prob': " + (mixture.renormalise ? "true" : "false"));
  }
  return Status::Ok();
}

void AddMixture(const ExpertMixture& mixture, Keys& keys) {
  if (mixture.experts == 0) return;
  keys.Whole("expert_count", mixture.experts);
  keys.Whole("expert_used_count", mixture.per_token);
  keys.Whole("expert_feed_forward_length", mixture.inner);
  if (mixture.shared_inner > 0) keys.Whole("expert_shared_feed_forward_length", mixture.shared_inner);
}

void AddSizes(const Architecture& a, Keys& keys) {
  keys.Whole("block_count", a.layers);
  keys.Whole("context_length", a.context);
  keys.Whole("embedding_length", a.hidden);
  keys.Whole("feed_forward_length", a.inner);
  keys.Whole("vocab_size", a.vocabulary);
  keys.Whole("attention.head_count", a.query_heads);
  keys.Whole("attention.head_count_kv", a.kv_heads);
  keys.Whole("attention.key_length", a.head_dim);
  keys.Whole("attention.value_length", a.head_dim);
  keys.Number("attention.layer_norm_rms_epsilon", a.norm_epsilon);
  if (a.sliding_window > 0) keys.Whole("attention.sliding_window", a.sliding_window);
  if (a.attention_scale > 0.0) keys.Number("attention.scale", a.attention_scale);
  keys.Whole("rope.dimension_count", a.rope_dims);
  keys.Number("rope.freq_base", a.rope_theta);
}

Status AddYarn(const RopeScaling& s, Keys& keys) {
  if (!s.truncate_range) return Unimplemented("a GGUF file cannot say YaRN's 'truncate': false");
  keys.Text("rope.scaling.type", "yarn");
  keys.Number("rope.scaling.factor", s.factor);
  keys.Whole("rope.scaling.original_context_length", s.original_context);
  keys.Number("rope.scaling.yarn_beta_fast", s.beta_fast);
  keys.Number("rope.scaling.yarn_beta_slow", s.beta_slow);
  if (s.attention_factor > 0.0) {
    // In a file it is a factor of what follows from the stretch.
    keys.Number("rope.scaling.attn_factor", s.attention_factor / YarnAttentionFactor(s.factor, 1.0));
  }
  return Status::Ok();
}

/// How much slower each pair turns than without scaling.
std::vector<float> Divisors(const Architecture& a) {
  Architecture plain = a;
  plain.rope_scaling = {};
  plain.context = 1;  // Its table of angles is not needed.
  Architecture scaled = a;
  scaled.context = 1;
  const std::vector<float> fast = RopeTable(plain).inverse_frequencies();
  const std::vector<float> slow = RopeTable(scaled).inverse_frequencies();
  std::vector<float> divisors(fast.size());
  for (size_t i = 0; i < fast.size(); ++i) divisors[i] = fast[i] / slow[i];
  return divisors;
}

Status AddRopeScaling(const Architecture& a, Keys& keys, GgufDescription& out) {
  switch (a.rope_scaling.kind) {
    case Kind::kNone:
    case Kind::kDynamicNtk: return Status::Ok();  // Up to the model's context both are plain RoPE.
    case Kind::kLinear:
      keys.Text("rope.scaling.type", "linear");
      keys.Number("rope.scaling.factor", a.rope_scaling.factor);
      return Status::Ok();
    case Kind::kYarn: return AddYarn(a.rope_scaling, keys);
    case Kind::kLlama3: out.rope_divisors = Divisors(a); return Status::Ok();
    case Kind::kLongRope: break;
  }
  return Unimplemented("config.json: the rope_type 'longrope' is not written to GGUF files of this family");
}

}  // namespace

Result<GgufDescription> DescribeAsGguf(const Architecture& architecture, const std::string& name) {
  const GgufFamily* family = GgufFamilyOf(architecture);
  if (family == nullptr)
    return Unimplemented("the family " + Quoted(architecture.family) + " as a GGUF file");
  CONCLAVE_RETURN_IF_ERROR(CheckSayable(architecture, *family));
  GgufDescription out{.rope_layout = family->rope_layout, .names = GgufWeightNames(*family)};
  out.pairs.AddText("general.architecture", family->name);
  out.pairs.AddText("general.type", "model");
  out.pairs.AddText("general.name", name);
  Keys keys(family->name, out.pairs);
  AddSizes(architecture, keys);
  AddMixture(architecture.mixture, keys);
  CONCLAVE_RETURN_IF_ERROR(AddRopeScaling(architecture, keys, out));
  return out;
}

}  // namespace conclave::engine
