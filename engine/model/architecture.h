#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/files/model_file.h"

namespace conclave::engine {

/// How a vector is normalised before a block.
enum class NormKind : uint8_t { kRmsNorm };

/// How positions enter attention. RoPE rotates pairs of a head's numbers (arXiv 2104.09864): neighbours
/// (2i, 2i+1), as GGUF's llama stores its weights, or halves (i, i + n/2), as Hugging Face does.
enum class RopeLayout : uint8_t { kInterleaved, kHalves };

/// How RoPE's frequencies are stretched for longer contexts.
struct RopeScaling {
  enum class Kind : uint8_t { kNone, kLinear, kDynamicNtk, kYarn, kLlama3, kLongRope };
  Kind kind = Kind::kNone;
  double factor = 1.0;
  int64_t original_context = 0;
  double all_dims_weight =
      0.0;  ///< "mscale_all_dim", which latent attention squares into its scale; 0: none.
  // YaRN (arXiv 2309.00071).
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  double attention_factor = 0.0;  ///< 0: derived from the factor.
  bool truncate_range = true;     ///< The range of blended pairs is widened to whole pairs.
  // Llama 3.1.
  double low_frequency_factor = 1.0;
  double high_frequency_factor = 4.0;
  // LongRoPE (arXiv 2402.13753): one divisor for each pair, for short and for long contexts. GGUF's
  // `rope_freqs` and `rope_factors_*` tensors land here too.
  std::vector<float> short_factors;
  std::vector<float> long_factors;
};

/// A feed-forward block: SwiGLU is down(silu(gate(x)) * up(x)) (arXiv 2002.05202). Clamped, gate and up are
/// limited, the sigmoid is steeper and up is raised by 1 (Kernels::swiglu_clamped).
enum class FeedForwardKind : uint8_t { kSwiGlu, kClampedSwiGlu };

/// What is normalised (by RMSNorm) of queries and keys before they are rotated: nothing, each head by itself,
/// or all heads of a token together.
enum class QueryKeyNorm : uint8_t { kNone, kHead, kAll };

/// Multi-head latent attention (arXiv 2405.04434, section 2.1): keys and values of all heads are products of
/// one latent a token, which is what the cache keeps, beside a rotated key that all heads share. A head's
/// query and key are `head_dim` wide, of which the last rope_dims numbers are rotated.
struct LatentAttention {
  int64_t kv_rank = 0;     ///< Width of the latent; 0: keys and values are projected from the layer's input.
  int64_t query_rank = 0;  ///< Width of the queries' own latent; 0: they are projected from the input.
  int64_t value_dim = 0;   ///< Width of a head's values.
  double norm_epsilon = 1e-6;  ///< Of the latents' norms.
};

/// How a router turns a logit into a score: by a softmax over all experts, or each by its sigmoid
/// (arXiv 2412.19437, section 2.1.2).
enum class RouterScore : uint8_t { kSoftmax, kSigmoid };

/// What a group of experts is ranked by: its best score, or the sum of its two best.
enum class GroupRank : uint8_t { kBest, kBestTwo };

/// Layers whose feed-forward part is a mixture of experts: of `experts` blocks a token uses those `per_token`
/// that a router scores highest, their outputs weighted by the scores (arXiv 1701.06538), and the shared one
/// where there is one (arXiv 2401.06066).
struct ExpertMixture {
  int64_t experts = 0;  ///< 0: every layer is dense.
  int64_t per_token = 0;
  int64_t inner = 0;         ///< Width of one expert.
  int64_t shared_inner = 0;  ///< Width of the shared expert; 0: there is none.
  bool shared_gate = false;  ///< A learned gate's sigmoid scales the shared expert's output.
  bool renormalise = false;  ///< The chosen scores are divided by their sum.
  RouterScore score = RouterScore::kSoftmax;
  bool choice_bias = false;  ///< Experts are chosen by their scores plus a bias, but weighted without it.
  int64_t groups = 1;        ///< Equal groups of neighbours; experts are chosen from the best `groups_used`.
  int64_t groups_used = 1;
  GroupRank group_rank = GroupRank::kBest;
  double weight_scale = 1.0;       ///< What the chosen experts' weights are multiplied by in the end.
  bool router_bias = false;        ///< The router's logits have biases.
  bool expert_bias = false;        ///< All projections of the experts that are routed to have biases.
  bool unit_weights = false;       ///< The chosen outputs count 1 each: parts of what was one dense block.
  std::vector<bool> dense_layers;  ///< [layers]: which have one dense block instead; empty: none.
};

/// Everything that tells one model family and size from another. The forward pass interprets it: a new family
/// is a new value and a weight-name map, not a new pass. Plain data; validated by the functions that make it.
struct Architecture {
  std::string family;  ///< For example "llama".
  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t inner = 0;  ///< Width of the feed-forward block.
  int64_t query_heads = 0;
  int64_t kv_heads = 0;  ///< query_heads must be a multiple (grouped-query attention, arXiv 2305.13245).
  int64_t head_dim = 0;
  int64_t vocabulary = 0;
  int64_t context = 0;  ///< The longest sequence, in tokens.
  NormKind norm = NormKind::kRmsNorm;
  double norm_epsilon = 1e-5;
  RopeLayout rope_layout = RopeLayout::kInterleaved;
  double rope_theta = 10000.0;
  int64_t rope_dims = 0;  ///< How many of a head's numbers are rotated; even.
  RopeScaling rope_scaling;
  FeedForwardKind feed_forward = FeedForwardKind::kSwiGlu;
  double swiglu_alpha = 1.702;  ///< Of the clamped one.
  double swiglu_limit = 7.0;    ///< The same.
  ExpertMixture mixture;
  bool tied_embeddings = false;   ///< The output head is the embedding table.
  int64_t sliding_window = 0;     ///< Attend to this many last positions; 0: to all.
  std::vector<bool> full_layers;  ///< [layers]: which attend to all positions all the same; empty: none.
  bool attention_bias = false;    ///< Query, key and value projections have biases.
  bool attention_output_bias = false;
  bool attention_sinks = false;  ///< Each head's softmax has one more term, learned (AttentionTask::sinks).
  LatentAttention latent;
  double attention_scale = 0.0;  ///< 0: 1 / sqrt(head_dim).
  QueryKeyNorm query_key_norm = QueryKeyNorm::kNone;
  double projection_clip =
      0.0;  ///< Queries, keys and values are clipped to +-this, after norms; 0: they are not.

  bool latent_attention() const { return latent.kv_rank > 0; }
  /// Numbers of a cached key and value of one head, and of a head's output. With a latent, `kv_heads` is 1.
  int64_t cached_key_dim() const { return latent_attention() ? latent.kv_rank + rope_dims : head_dim; }
  int64_t cached_value_dim() const { return latent_attention() ? latent.kv_rank : head_dim; }
  int64_t output_dim() const { return latent_attention() ? latent.value_dim : head_dim; }
  /// How many last positions the layer attends to; 0: to all.
  int64_t window(int64_t layer) const {
    return !full_layers.empty() && full_layers[layer] ? 0 : sliding_window;
  }
  /// Whether the layer is a mixture of experts.
  bool mixed(int64_t layer) const {
    return mixture.experts > 0 && (mixture.dense_layers.empty() || !mixture.dense_layers[layer]);
  }
};

/// The file's names of the tensors of one transformer, from a layer's number or without one.
struct WeightNames {
  std::string embedding, output_norm, output;
  std::string attention_norm, query, key, value, attention_output, feed_forward_norm, gate, up, down;
  std::string query_norm, key_norm;
  std::string sinks;
  /// Of latent attention: `query` is empty where queries have a latent, and so is `value`; `key` makes the
  /// latent and the rotated key. What takes the latent to keys and values is one tensor [heads * (plain +
  /// value), kv_rank], or two, [heads, kv_rank, plain] and [heads, value, kv_rank].
  std::string latent_query, latent_query_norm, latent_query_up, latent_norm;
  std::string latent_both, latent_key, latent_value;
  /// Of mixtures. An expert's names hold two "{}", for the layer and the expert; or one, where a tensor
  /// [experts, rows, columns] holds a matrix of all of them.
  std::string router, expert_gate, expert_up, expert_down;
  /// One tensor holds the gate and up projections of all experts (fused_experts.h); else empty.
  std::string fused_gate_up, fused_down;
  std::string choice_bias;
  std::string shared_gate, shared_up, shared_down, shared_scale;

  /// `pattern` with its first "{}" replaced by the layer.
  static std::string ForLayer(const std::string& pattern, int64_t layer);
  /// The bias that belongs to a weight.
  static std::string BiasOf(const std::string& weight);
};

struct ModelDescription {
  Architecture architecture;
  WeightNames names;
  /// What the names of tensors begin with that the forward pass does not need: those of layers that guess
  /// further tokens.
  std::vector<std::string> unused_prefixes;
};

/// Reads and validates the architecture that a file declares. Errors: INVALID_ARGUMENT (a key that is
/// missing, of the wrong kind or absurd), UNIMPLEMENTED (a family or feature this engine does not know, by
/// its name).
Result<ModelDescription> DescribeModel(const ModelFile& file);

}  // namespace conclave::engine
