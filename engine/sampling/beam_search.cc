#include "engine/sampling/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <unordered_map>
#include <utility>

namespace conclave::engine {
namespace {

using Scores = std::unordered_map<int32_t, double>;

constexpr double kMostLengthPenalty = 10.0;

/// The scores of the tokens that bias or penalties change.
Scores ChangedScores(std::span<const float> logits, double log_sum, const SamplingParams& params,
                     std::span<const int32_t> prompt, std::span<const int32_t> said) {
  Scores scores;
  auto score = [&](int32_t token) -> double& {
    return scores.try_emplace(token, static_cast<double>(logits[token]) - log_sum).first->second;
  };
  for (const auto& [token, bias] : params.logit_bias) {
    score(token) += bias <= -100.0 ? -std::numeric_limits<double>::infinity() : bias;
  }
  if (params.repetition_penalty != 1.0) {
    std::unordered_set<int32_t> seen(prompt.begin(), prompt.end());
    seen.insert(said.begin(), said.end());
    for (const int32_t token : seen) {
      double& changed = score(token);
      changed = changed < 0.0 ? changed * params.repetition_penalty : changed / params.repetition_penalty;
    }
  }
  if (params.frequency_penalty == 0.0 && params.presence_penalty == 0.0) return scores;
  std::unordered_map<int32_t, int64_t> counts;
  for (const int32_t token : said) ++counts[token];
  for (const auto& [token, count] : counts) {
    score(token) -= params.frequency_penalty * static_cast<double>(count) + params.presence_penalty;
  }
  return scores;
}

bool Better(const BeamCandidate& a, const BeamCandidate& b) {
  return a.score > b.score || (a.score == b.score && a.token_id < b.token_id);
}

/// A token as the model has it, without bias and penalties.
BeamCandidate PlainCandidate(std::span<const float> logits, int32_t token, double log_sum) {
  const double logprob = static_cast<double>(logits[token]) - log_sum;
  return {.token_id = token, .logprob = static_cast<float>(logprob), .score = logprob};
}

/// Keeps the best of those it takes.
class BestCandidates {
 public:
  explicit BestCandidates(int64_t count) : count_(static_cast<size_t>(count)) {}

  /// Whether it is among the best so far; never one whose score is not finite.
  bool Takes(const BeamCandidate& candidate) const {
    if (heap_.size() == count_ && !Better(candidate, heap_.front())) return false;
    return std::isfinite(candidate.score);
  }

  void Offer(const BeamCandidate& candidate) {
    if (heap_.size() == count_) {
      std::pop_heap(heap_.begin(), heap_.end(), Better);
      heap_.back() = candidate;
    } else {
      heap_.push_back(candidate);
    }
    std::push_heap(heap_.begin(), heap_.end(), Better);
  }

  std::vector<BeamCandidate> Take() {
    std::sort_heap(heap_.begin(), heap_.end(), Better);
    return std::move(heap_);
  }

 private:
  size_t count_;
  std::vector<BeamCandidate> heap_;  ///< the worst in front
};

}  // namespace

Status Validate(const BeamParams& params) {
  std::ostringstream message;
  if (params.beams < 0 || params.beams > kMostBeams) {
    message << "beams is " << params.beams << "; at most " << kMostBeams << " are allowed";
    return InvalidArgument(message.str());
  }
  if (!(std::abs(params.length_penalty) <= kMostLengthPenalty)) {
    message << "length_penalty is " << params.length_penalty << "; it must be from " << -kMostLengthPenalty
            << " to " << kMostLengthPenalty;
    return InvalidArgument(message.str());
  }
  return Status::Ok();
}

Result<BeamRow> RankTokens(std::span<const float> logits, const LogitsSummary& summary,
                           const SamplingParams& params, std::span<const int32_t> prompt,
                           std::span<const int32_t> said, int64_t count) {
  const auto [best, log_sum] = summary;
  if (best < 0 || !std::isfinite(logits[best])) {
    return Internal("the model gave no finite logit; its weights are damaged");
  }
  BeamRow row;
  if (params.logprobs.has_value()) row.top = TopTokens(logits, *params.logprobs, log_sum);
  const Scores changed = ChangedScores(logits, log_sum, params, prompt, said);
  BestCandidates candidates(count);
  for (size_t id = 0; id < logits.size(); ++id) {
    const BeamCandidate plain = PlainCandidate(logits, static_cast<int32_t>(id), log_sum);
    if (candidates.Takes(plain) && !changed.contains(plain.token_id)) candidates.Offer(plain);
  }
  for (const auto& [token, score] : changed) {
    BeamCandidate candidate = PlainCandidate(logits, token, log_sum);
    candidate.score = score;
    if (candidates.Takes(candidate)) candidates.Offer(candidate);
  }
  row.candidates = candidates.Take();
  return row;
}

BeamSearch::BeamSearch(const BeamParams& params, std::unordered_set<int32_t> end_tokens, int64_t max_tokens)
    : params_(params),
      end_tokens_(std::move(end_tokens)),
      max_tokens_(max_tokens),
      candidates_(std::max<int64_t>(2, 1 + static_cast<int64_t>(end_tokens_.size())) * params.beams) {}

std::vector<BeamSearch::Ranked> BeamSearch::Rank(const std::vector<BeamRow>& rows) const {
  std::vector<Ranked> ranked;
  for (size_t row = 0; row < rows.size(); ++row) {
    for (const BeamCandidate& candidate : rows[row].candidates) {
      ranked.push_back({static_cast<int64_t>(row), &candidate, running_[row].sum + candidate.score});
    }
  }
  std::ranges::stable_sort(ranked, [](const Ranked& a, const Ranked& b) {
    if (a.sum != b.sum) return a.sum > b.sum;
    return a.row < b.row || (a.row == b.row && a.candidate->token_id < b.candidate->token_id);
  });
  if (static_cast<int64_t>(ranked.size()) > candidates_) ranked.resize(candidates_);
  return ranked;
}

int64_t BeamSearch::Add(const Ranked& ranked, const std::vector<BeamRow>& rows) {
  nodes_.push_back({.token = {.token_id = ranked.candidate->token_id,
                              .logprob = ranked.candidate->logprob,
                              .top = rows[ranked.row].top},
                    .before = running_[ranked.row].last});
  return static_cast<int64_t>(nodes_.size()) - 1;
}

/// Behind those that score as well; the worst of too many goes.
void BeamSearch::Keep(const Done& done) {
  auto place = std::ranges::upper_bound(finished_, done.score, std::greater<>(), &Done::score);
  finished_.insert(place, done);
  if (static_cast<int64_t>(finished_.size()) > params_.beams) finished_.pop_back();
}

bool BeamSearch::CanImprove() const {
  if (static_cast<int64_t>(finished_.size()) < params_.beams) return true;
  if (params_.early_stopping == EarlyStopping::kYes) return false;
  const bool at_longest = params_.early_stopping == EarlyStopping::kNever && params_.length_penalty > 0.0;
  const auto length = static_cast<double>(at_longest ? max_tokens_ : length_);
  return running_.front().sum / std::pow(length, params_.length_penalty) > finished_.back().score;
}

std::vector<BeamSearch::Beam> BeamSearch::Step(const std::vector<BeamRow>& rows) {
  ++length_;
  const bool last = length_ >= max_tokens_;
  const double divisor = std::pow(static_cast<double>(length_), params_.length_penalty);
  std::vector<Running> running;
  std::vector<Beam> beams;
  int64_t rank = 0;
  for (const Ranked& ranked : Rank(rows)) {
    const bool may_finish = rank++ < params_.beams;
    const bool ends = end_tokens_.contains(ranked.candidate->token_id);
    if (ends || last) {
      if (may_finish) Keep({.last = Add(ranked, rows), .ended = ends, .score = ranked.sum / divisor});
    } else if (static_cast<int64_t>(beams.size()) < params_.beams) {
      running.push_back({.last = Add(ranked, rows), .sum = ranked.sum});
      beams.push_back({.parent = ranked.row, .token_id = ranked.candidate->token_id});
    }
  }
  running_ = std::move(running);
  done_ = running_.empty() || !CanImprove();
  if (done_) beams.clear();
  return beams;
}

std::vector<BeamHypothesis> BeamSearch::Finished() const {
  std::vector<BeamHypothesis> hypotheses;
  for (const Done& done : finished_) {
    BeamHypothesis& hypothesis = hypotheses.emplace_back();
    hypothesis.ended = done.ended;
    hypothesis.score = done.score;
    for (int64_t node = done.last; node >= 0; node = nodes_[node].before) {
      hypothesis.tokens.push_back(nodes_[node].token);
    }
    std::ranges::reverse(hypothesis.tokens);
  }
  return hypotheses;
}

}  // namespace conclave::engine
