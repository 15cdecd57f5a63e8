#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/sampling/beam_search.h"
#include "services/decoder/sequence.h"

namespace conclave::decoder {

/// The beams of one request, each in a place of its own in the cache. The places' room was reserved when they
/// joined, for the longest answer each, and lasts: a beam that goes on from another one takes references on
/// that one's whole blocks in exchange for its own, and copies the block that is not whole into the one that
/// it has. So no step ever takes a block, and whole blocks that several beams come from are held once
/// (docs/decisions/0017). Owns no sequence; they must outlive its last call. Used by one thread at a time,
/// except for `candidates`.
class BeamGroup {
 public:
  explicit BeamGroup(const SequenceRequest& request);

  /// The prompt was computed at the first of `places`, and the others have taken it over.
  void Start(std::vector<Sequence*> places, Clock::time_point now);
  bool started() const { return !places_.empty(); }

  /// How many candidates a row must name; any thread, while no method runs.
  int64_t candidates() const { return search_.candidates(); }

  /// What a step made of one of the beams, or of the prompt.
  void Take(const Sequence& sequence, engine::BeamRow row);
  /// Once all rows of a step are there: moves beams to where the next step computes them. A place without a
  /// beam has no next token.
  void Advance();
  bool done() const { return search_.done(); }

  /// The wanted answers, best first: their ids; nothing for one that was cancelled.
  const std::vector<std::optional<uint64_t>>& ids() const { return ids_; }
  bool Has(uint64_t id) const;
  /// The answer is not wanted any more; whether any still is.
  bool Drop(uint64_t id);

  std::vector<engine::BeamHypothesis> Finished() const { return search_.Finished(); }
  Clock::time_point first_token() const { return first_token_; }

 private:
  std::vector<Sequence*> PlacesFor(const std::vector<engine::BeamSearch::Beam>& beams) const;

  engine::BeamSearch search_;
  std::vector<std::optional<uint64_t>> ids_;
  std::vector<Sequence*> places_;
  std::vector<Sequence*> running_;  ///< the places of the running beams, in the search's order
  std::vector<engine::BeamRow> rows_;
  Clock::time_point first_token_;
};

}  // namespace conclave::decoder
