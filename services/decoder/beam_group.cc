#include "services/decoder/beam_group.h"

#include <algorithm>
#include <utility>

namespace conclave::decoder {

BeamGroup::BeamGroup(const SequenceRequest& request)
    : search_(request.beams, request.ignore_end ? std::unordered_set<int32_t>() : request.end_tokens,
              request.max_tokens),
      ids_{request.id} {
  for (const FurtherAnswer& answer : request.further) ids_.emplace_back(answer.id);
}

void BeamGroup::Start(std::vector<Sequence*> places, Clock::time_point now) {
  places_ = std::move(places);
  running_ = {places_.front()};
  rows_.resize(1);
  first_token_ = now;
}

void BeamGroup::Take(const Sequence& sequence, engine::BeamRow row) {
  const auto place = std::ranges::find(running_, &sequence);
  rows_[place - running_.begin()] = std::move(row);
}

/// The first beam that goes on from a place stays there; others get places that no beam goes on from, so that
/// nothing is overwritten that is still to be copied.
std::vector<Sequence*> BeamGroup::PlacesFor(const std::vector<engine::BeamSearch::Beam>& beams) const {
  std::vector<Sequence*> free = places_;
  std::vector<Sequence*> next(beams.size());
  for (size_t i = 0; i < beams.size(); ++i) {
    Sequence* parent = running_[beams[i].parent];
    if (std::erase(free, parent) > 0) next[i] = parent;
  }
  for (size_t i = 0; i < beams.size(); ++i) {
    if (next[i] != nullptr) continue;
    next[i] = free.back();
    free.pop_back();
    const Sequence& parent = *running_[beams[i].parent];
    next[i]->cache.Follow(parent.cache);
    next[i]->answer = parent.answer;
  }
  return next;
}

void BeamGroup::Advance() {
  const std::vector<engine::BeamSearch::Beam> beams = search_.Step(rows_);
  running_ = PlacesFor(beams);
  for (Sequence* place : places_) place->next_tokens.clear();
  for (size_t i = 0; i < beams.size(); ++i) {
    running_[i]->answer.push_back(beams[i].token_id);
    running_[i]->next_tokens = {beams[i].token_id};
  }
  rows_.assign(beams.size(), {});
}

bool BeamGroup::Has(uint64_t id) const { return std::ranges::find(ids_, id) != ids_.end(); }

bool BeamGroup::Drop(uint64_t id) {
  std::ranges::replace(ids_, std::optional<uint64_t>(id), std::optional<uint64_t>());
  return std::ranges::any_of(ids_, [](const auto& wanted) { return wanted.has_value(); });
}

}  // namespace conclave::decoder
