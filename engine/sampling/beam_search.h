#pragma once

#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "engine/sampling/sampler.h"
#include "engine/sampling/sampling_params.h"

namespace conclave::engine {

/// Beams of one search.
inline constexpr int64_t kMostBeams = 16;

/// When a search ends that has as many finished hypotheses as beams.
enum class EarlyStopping : uint8_t {
  /// When the best running beam, taken at its present length, scores no better than the worst of them.
  kNo,
  /// At once.
  kYes,
  /// When no running beam can come to score better: one is taken at its longest where length raises scores.
  kNever,
};

struct BeamParams {
  int64_t beams = 0;  ///< 0: no beam search
  /// A hypothesis scores the sum of its tokens' scores divided by (its length ^ this); above 0 favours long
  /// ones.
  double length_penalty = 1.0;
  EarlyStopping early_stopping = EarlyStopping::kNo;
};

/// Errors: INVALID_ARGUMENT naming the parameter, its value and its range.
Status Validate(const BeamParams& params);

/// A token that may follow a beam.
struct BeamCandidate {
  int32_t token_id = 0;
  float logprob = 0.0f;  ///< under the model's own distribution
  double score = 0.0;    ///< the same after bias and penalties
};

/// What one row of logits says of the token that follows.
struct BeamRow {
  std::vector<TokenLogprob> top;          ///< as SampledToken::top
  std::vector<BeamCandidate> candidates;  ///< best first; ties go to the lower id
};

/// The `count` best tokens after `prompt` and `said`. As in `transformers`, bias and then the repetition
/// penalty work on log-probabilities, which are not normalised again; then the frequency and presence
/// penalties, which it does not know. Tokens whose score is not finite are left out. `logits`: [vocabulary],
/// and `summary` theirs. Errors: INTERNAL when no logit is finite (the model's weights are broken).
Result<BeamRow> RankTokens(std::span<const float> logits, const LogitsSummary& summary,
                           const SamplingParams& params, std::span<const int32_t> prompt,
                           std::span<const int32_t> said, int64_t count);

/// A finished answer.
struct BeamHypothesis {
  std::vector<SampledToken> tokens;  ///< with the end token, if that ended it
  bool ended = false;                ///< by an end token
  double score = 0.0;
};

/// One beam search as `transformers` 5 does it (GenerationMixin._beam_search): which beams go on, which
/// hypotheses are finished, and when that is all. Knows no model. A step takes the best candidates of all
/// beams, as many as (1 + end tokens, at least 2) * beams. Of the first `beams` of these, those that end are
/// hypotheses; the best that do not end are the next beams. Ties go to the earlier beam, then to the lower
/// id. Memory: at most two tokens a beam and step. Used by one thread at a time.
class BeamSearch {
 public:
  /// `params` were validated; `max_tokens` at least 1.
  BeamSearch(const BeamParams& params, std::unordered_set<int32_t> end_tokens, int64_t max_tokens);

  /// A beam that goes on.
  struct Beam {
    int64_t parent = 0;  ///< its row in the step
    int32_t token_id = 0;
  };

  /// How many candidates each row must name, if it has so many.
  int64_t candidates() const { return candidates_; }

  /// Takes a row for each running beam, in the order that the step before gave them; at first one, after the
  /// prompt. Returns the beams that go on, best first; none when the search is done.
  std::vector<Beam> Step(const std::vector<BeamRow>& rows);

  bool done() const { return done_; }

  /// The finished hypotheses, best first; fewer than beams when the rows left no more. Equal scores: the one
  /// that was finished earlier.
  std::vector<BeamHypothesis> Finished() const;

 private:
  /// A token of a beam and the node of the one before it, -1 for none.
  struct Node {
    SampledToken token;
    int64_t before;
  };
  struct Running {
    int64_t last;  ///< node; -1 before the first step
    double sum;
  };
  struct Done {
    int64_t last;
    bool ended;
    double score;
  };
  struct Ranked {
    int64_t row;
    const BeamCandidate* candidate;
    double sum;
  };

  std::vector<Ranked> Rank(const std::vector<BeamRow>& rows) const;
  int64_t Add(const Ranked& ranked, const std::vector<BeamRow>& rows);
  void Keep(const Done& done);
  bool CanImprove() const;

  BeamParams params_;
  std::unordered_set<int32_t> end_tokens_;
  int64_t max_tokens_;
  int64_t candidates_;
  int64_t length_ = 0;
  bool done_ = false;
  std::vector<Node> nodes_;
  std::vector<Running> running_ = {{-1, 0.0}};
  std::vector<Done> finished_;
};

}  // namespace conclave::engine
