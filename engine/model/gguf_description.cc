#include "engine/model/gguf_description.h"

#include "engine/model/architecture_sources.h"
#include "engine/model/rope.h"

namespace conclave::engine {
namespace {

using Kind = RopeScaling::Kind;

/// Adds keys below "llama.".
class Keys {
 public:
  explicit Keys(GgufPairs& pairs) : pairs_(pairs) {}

  void Whole(const std::string& key, int64_t value) {
    pairs_.AddUint32("llama." + key, static_cast<uint32_t>(value));
  }
  void Number(const std::string& key, double value) {
    pairs_.AddFloat32("llama." + key, static_cast<float>(value));
  }
  void Text(const std::string& key, std::string_view value) { pairs_.AddText("llama." + key, value); }

 private:
  GgufPairs& pairs_;
};

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
  GgufDescription out{.names = GgufWeightNames()};
  out.pairs.AddText("general.architecture", "llama");
  out.pairs.AddText("general.type", "model");
  out.pairs.AddText("general.name", name);
  Keys keys(out.pairs);
  AddSizes(architecture, keys);
  CONCLAVE_RETURN_IF_ERROR(AddRopeScaling(architecture, keys, out));
  return out;
}

}  // namespace conclave::engine
