#include "services/feedback/feedback_desk.h"

#include <chrono>
#include <utility>

#include "services/feedback/metrics.h"
#include "services/feedback/prepare.h"

namespace conclave::feedback {

int64_t SystemNowMs() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count();
}

FeedbackDesk::FeedbackDesk(VoteTokenSigner signer, ChangeQueue& queue, platform::Metrics& metrics,
                           Clock clock)
    : signer_(std::move(signer)),
      queue_(queue),
      metrics_(metrics),
      clock_(std::move(clock)),
      records_(metrics.Counter(kRecordsTotal)) {
  const std::pair<v1::Vote::VoteCase, const char*> kinds[] = {{v1::Vote::kThumb, "thumb"},
                                                              {v1::Vote::kStars, "stars"},
                                                              {v1::Vote::kPreference, "preference"},
                                                              {v1::Vote::kCorrection, "correction"}};
  for (const auto& [kind, name] : kinds) ratings_[kind] = &metrics.Counter(kRatingsTotal, {{"kind", name}});
}

void FeedbackDesk::CountRefused(const char* what, const Status& status) {
  metrics_.Counter(kRefusedTotal, {{"what", what}, {"reason", std::string(StatusCodeName(status.code()))}})
      .Increment();
}

void FeedbackDesk::Rate(const v1::RateRequest& rating, const std::string& tenant,
                        std::function<void(Result<v1::RateResponse>)> done, std::function<bool()> abandoned) {
  auto change = PrepareRating(signer_, rating, tenant, clock_());
  if (!change.ok()) {
    CountRefused("rating", change.status());
    return done(change.status());
  }
  const v1::Vote::VoteCase kind = rating.vote().vote_case();
  const auto stored = [this, kind, done = std::move(done)](Result<Committed> committed) {
    if (!committed.ok()) {
      CountRefused("rating", committed.status());
      return done(committed.status());
    }
    ratings_.at(kind)->Increment();
    v1::RateResponse response;
    response.set_rating_id(committed->rating_id);
    done(std::move(response));
  };
  queue_.Submit(std::move(change).value(), stored, std::move(abandoned));
}

void FeedbackDesk::Record(v1::RecordRequest record, std::function<void(Result<v1::RecordResponse>)> done,
                          std::function<bool()> abandoned) {
  auto change = PrepareRecord(std::move(record), clock_());
  if (!change.ok()) {
    CountRefused("record", change.status());
    return done(change.status());
  }
  const auto stored = [this, done = std::move(done)](Result<Committed> committed) {
    if (!committed.ok()) {
      CountRefused("record", committed.status());
      return done(committed.status());
    }
    records_.Increment();
    v1::RecordResponse response;
    response.set_vote_token(signer_.Sign(committed->claims));
    response.set_expires_ms(committed->claims.expires_ms());
    done(std::move(response));
  };
  queue_.Submit(std::move(change).value(), stored, std::move(abandoned));
}

}  // namespace conclave::feedback
