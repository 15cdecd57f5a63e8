#pragma once

#include <cstdint>
#include <vector>

#include "engine/model/architecture.h"

namespace conclave::engine {

/// Which experts the tokens of a step use, and how much of each.
struct Routing {
  int64_t per_token = 0;
  std::vector<int32_t> experts;      ///< [tokens, per_token], ascending within a token
  std::vector<float> weights;        ///< [tokens, per_token], of `experts`
  std::vector<float> shared_weight;  ///< [tokens]: of the shared expert; empty: 1

  /// Makes room for so many tokens.
  void Resize(const ExpertMixture& mixture, int64_t tokens);
};

/// Chooses the experts of tokens [begin, end) by their router's logits [tokens, experts]: those of the
/// highest scores, the lower number where two are equal, groups before their experts (arXiv 2405.04434,
/// section 2.2.2; arXiv 2412.19437, section 2.1.2). `choice_bias` [experts]: added to scores for the choice
/// alone; nullptr: nothing is. A token with a logit that is no number gets weights that are none, so that its
/// sequence fails where tokens are chosen. Unit weights are 1. `shared_logits` [tokens]: of the shared expert's gate, where the
/// mixture has one. Threads may share out the tokens.
void ChooseExperts(const ExpertMixture& mixture, int64_t begin, int64_t end, const float* logits,
                   const float* shared_logits, Routing& routing, const float* choice_bias = nullptr);

}  // namespace conclave::engine
