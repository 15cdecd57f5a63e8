#include "services/feedback/export_cursor.h"

#include <utility>

#include "services/feedback/limits.h"
#include "services/feedback/record_keys.h"
#include "services/feedback/trl_lines.h"
#include "services/feedback/verdict.h"
#include "services/feedback/vote_token.h"

namespace conclave::feedback {
namespace {

/// A line, or none, with the ratings it was made from.
Result<std::optional<v1::ExportResponse>> Response(std::optional<std::string> line,
                                                   std::initializer_list<std::string> rating_ids) {
  if (!line) return std::optional<v1::ExportResponse>();
  v1::ExportResponse response;
  response.set_json_line(std::move(*line));
  for (const std::string& id : rating_ids) response.add_rating_ids(id);
  return std::optional<v1::ExportResponse>(std::move(response));
}

Status Damaged(std::string_view what, std::string_view name) {
  return DataLoss("the stored " + std::string(what) + " " + std::string(name) +
                  " is damaged: restore the data directory from a backup");
}

}  // namespace

Status CheckExport(const v1::ExportRequest& request) {
  if (request.format() == v1::EXPORT_FORMAT_UNSPECIFIED || !v1::ExportFormat_IsValid(request.format())) {
    return InvalidArgument("format is none of preference, unpaired, sft, ratings");
  }
  if (!v1::ExportStyle_IsValid(request.style())) {
    return InvalidArgument("style is neither conversational nor standard");
  }
  if (request.format() == v1::EXPORT_FORMAT_RATINGS && request.style() != v1::EXPORT_STYLE_UNSPECIFIED) {
    return InvalidArgument("format ratings has no style: leave style out");
  }
  return Status::Ok();
}

ExportCursor::ExportCursor(const platform::DurableStore& store, v1::ExportRequest request)
    : store_(store), snapshot_(store.TakeSnapshot()), request_(std::move(request)) {}

Status ExportCursor::FillPage() {
  const std::string from = OrderKey(next_sequence_);
  bool damaged = false;
  const auto visit = [&](std::string_view key, std::string_view nonce) {
    Place place{0, std::string(nonce)};
    damaged = !DecodeNumber(key.substr(kOrderPrefix.size()), place.sequence);
    if (damaged) return false;
    page_.push_back(std::move(place));
    return page_.size() < kExportPageRatings;
  };
  CONCLAVE_RETURN_IF_ERROR(store_.Scan(
      {.prefix = kOrderPrefix, .from_key = from, .reverse = false, .snapshot = &snapshot_}, visit));
  if (damaged) return Damaged("order of ratings after number", std::to_string(next_sequence_));
  done_ = page_.empty();
  if (!done_) next_sequence_ = page_.back().sequence + 1;
  return Status::Ok();
}

Result<std::optional<v1::ExportResponse>> ExportCursor::Next() {
  if (page_.empty()) CONCLAVE_RETURN_IF_ERROR(FillPage());
  if (done_) return std::optional<v1::ExportResponse>();
  const Place place = std::move(page_.front());
  page_.pop_front();
  CONCLAVE_ASSIGN_OR_RETURN(const std::optional<v1::StoredRating> rating, ReadRating(place));
  if (!rating || rating->tenant() != request_.tenant() || rating->rated_ms() < request_.since_ms()) {
    return std::optional<v1::ExportResponse>();
  }
  return MakeLine(*rating);
}

Result<std::optional<v1::StoredRating>> ExportCursor::ReadRating(const Place& place) const {
  CONCLAVE_ASSIGN_OR_RETURN(const std::optional<std::string> bytes,
                            store_.Get(VoteKey(place.nonce), &snapshot_));
  if (!bytes) return std::optional<v1::StoredRating>();
  v1::StoredVote vote;
  if (!vote.ParseFromString(*bytes)) return Damaged("rating number", std::to_string(place.sequence));
  if (vote.rating().sequence() != place.sequence) return std::optional<v1::StoredRating>();
  return std::optional<v1::StoredRating>(std::move(*vote.mutable_rating()));
}

Result<v1::RecordRequest> ExportCursor::ReadResponse(const std::string& response_id,
                                                     const std::string& digest) const {
  CONCLAVE_ASSIGN_OR_RETURN(const std::optional<std::string> bytes,
                            store_.Get(ResponseKey(response_id), &snapshot_));
  v1::RecordRequest record;
  if (!bytes || Sha256(*bytes) != digest || !record.ParseFromString(*bytes)) {
    return Damaged("response", response_id);
  }
  return record;
}

ExportCursor::Line ExportCursor::MakeLine(const v1::StoredRating& rating) const {
  const v1::Vote& vote = rating.rating().vote();
  const Verdict verdict = VerdictOf(vote);
  CONCLAVE_ASSIGN_OR_RETURN(const v1::RecordRequest answer,
                            ReadResponse(rating.rating().response_id(), rating.response_digest()));
  switch (request_.format()) {
    case v1::EXPORT_FORMAT_PREFERENCE: return MakePreference(rating, answer);
    case v1::EXPORT_FORMAT_UNPAIRED:
      if (verdict == Verdict::kNone) break;
      return Response(UnpairedLine(request_.style(), answer, verdict == Verdict::kGood),
                      {rating.rating_id()});
    case v1::EXPORT_FORMAT_SFT:
      if (vote.has_correction()) {
        return Response(SftLine(request_.style(), answer, vote.correction()), {rating.rating_id()});
      }
      if (verdict != Verdict::kGood) break;
      return Response(SftLine(request_.style(), answer, answer.text()), {rating.rating_id()});
    case v1::EXPORT_FORMAT_RATINGS: return MakeRating(rating, answer);
    default: break;
  }
  return std::optional<v1::ExportResponse>();
}

ExportCursor::Line ExportCursor::MakePreference(const v1::StoredRating& rating,
                                                const v1::RecordRequest& answer) const {
  const v1::Vote& vote = rating.rating().vote();
  if (vote.has_correction()) {
    return Response(PreferenceLine(request_.style(), answer, vote.correction(), answer.text()),
                    {rating.rating_id()});
  }
  if (vote.has_preference()) return MakeComparison(rating, answer);
  return MakeVerdictPair(rating, answer);
}

ExportCursor::Line ExportCursor::MakeComparison(const v1::StoredRating& rating,
                                                const v1::RecordRequest& answer) const {
  const v1::Preference& preference = rating.rating().vote().preference();
  if (preference.outcome() == v1::Preference::OUTCOME_TIE) return std::optional<v1::ExportResponse>();
  CONCLAVE_ASSIGN_OR_RETURN(const v1::RecordRequest other,
                            ReadResponse(preference.other_response_id(), rating.other_response_digest()));
  const bool rated_is_better = preference.outcome() == v1::Preference::OUTCOME_RATED_IS_BETTER;
  const v1::RecordRequest& chosen = rated_is_better ? answer : other;
  const v1::RecordRequest& rejected = rated_is_better ? other : answer;
  return Response(PreferenceLine(request_.style(), answer, chosen.text(), rejected.text()),
                  {rating.rating_id()});
}

ExportCursor::Line ExportCursor::MakeVerdictPair(const v1::StoredRating& rating,
                                                 const v1::RecordRequest& answer) const {
  CONCLAVE_ASSIGN_OR_RETURN(const std::optional<v1::StoredRating> partner, FindPartner(rating));
  if (!partner) return std::optional<v1::ExportResponse>();
  CONCLAVE_ASSIGN_OR_RETURN(const v1::RecordRequest other,
                            ReadResponse(partner->rating().response_id(), partner->response_digest()));
  const bool is_good = VerdictOf(rating.rating().vote()) == Verdict::kGood;
  const v1::RecordRequest& chosen = is_good ? answer : other;
  const v1::RecordRequest& rejected = is_good ? other : answer;
  return Response(PreferenceLine(request_.style(), answer, chosen.text(), rejected.text()),
                  {partner->rating_id(), rating.rating_id()});
}

Result<std::optional<v1::StoredRating>> ExportCursor::FindPartner(const v1::StoredRating& rating) const {
  const Verdict verdict = VerdictOf(rating.rating().vote());
  if (verdict == Verdict::kNone) return std::optional<v1::StoredRating>();
  const std::string key = VerdictKey(rating.prompt_digest(), Opposite(verdict), rating.verdict_ordinal());
  CONCLAVE_ASSIGN_OR_RETURN(const std::optional<std::string> nonce, store_.Get(key, &snapshot_));
  if (!nonce) return std::optional<v1::StoredRating>();
  CONCLAVE_ASSIGN_OR_RETURN(const std::optional<std::string> bytes, store_.Get(VoteKey(*nonce), &snapshot_));
  v1::StoredVote vote;
  if (bytes && !vote.ParseFromString(*bytes)) return Damaged("rating at", key);
  v1::StoredRating& partner = *vote.mutable_rating();
  // Its own verdict is looked at, too: the place may have been left behind by a write that failed.
  const bool is_partner = partner.sequence() > 0 && partner.sequence() < rating.sequence() &&
                          partner.prompt_digest() == rating.prompt_digest() &&
                          partner.verdict_ordinal() == rating.verdict_ordinal() &&
                          VerdictOf(partner.rating().vote()) == Opposite(verdict);
  if (!is_partner) return std::optional<v1::StoredRating>();
  return std::optional<v1::StoredRating>(std::move(partner));
}

ExportCursor::Line ExportCursor::MakeRating(const v1::StoredRating& rating,
                                            const v1::RecordRequest& answer) const {
  v1::ExportedRating exported;
  exported.set_rating_id(rating.rating_id());
  exported.set_rated_ms(rating.rated_ms());
  *exported.mutable_rating() = rating.rating();
  *exported.mutable_response() = answer;
  if (rating.rating().vote().has_preference()) {
    CONCLAVE_ASSIGN_OR_RETURN(v1::RecordRequest other,
                              ReadResponse(rating.rating().vote().preference().other_response_id(),
                                           rating.other_response_digest()));
    *exported.mutable_other_response() = std::move(other);
  }
  return Response(RatingLine(exported), {rating.rating_id()});
}

}  // namespace conclave::feedback
