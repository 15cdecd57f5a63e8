#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "base/result.h"
#include "conclave/v1/feedback.pb.h"
#include "conclave/v1/feedback_storage.pb.h"
#include "platform/storage/durable_store.h"

namespace conclave::feedback {

/// Whether an export can be made of `request`: kInvalidArgument without a known format, for an unknown style,
/// or for a style of EXPORT_FORMAT_RATINGS.
Status CheckExport(const v1::ExportRequest& request);

/// Walks the ratings in the order in which they were made, as the store stood at construction, and makes each
/// one's line. Which rating becomes which line is in README.md. Holds one page of the order in memory,
/// whatever the size of the store. One thread at a time; must not outlive the store.
class ExportCursor {
 public:
  /// `request` passed CheckExport and has a tenant: only its ratings are exported.
  ExportCursor(const platform::DurableStore& store, v1::ExportRequest request);

  /// Looks at the next rating: its line, or nothing when it has none in this format or there is no rating
  /// left. kDataLoss when what is stored is damaged.
  Result<std::optional<v1::ExportResponse>> Next();

  /// No rating is left.
  bool done() const { return done_; }

 private:
  struct Place {
    uint64_t sequence;
    std::string nonce;
  };
  using Line = Result<std::optional<v1::ExportResponse>>;

  Status FillPage();
  /// The rating at a place of the order; nothing for a place left behind by a write that failed.
  Result<std::optional<v1::StoredRating>> ReadRating(const Place& place) const;
  Result<v1::RecordRequest> ReadResponse(const std::string& response_id, const std::string& digest) const;
  Line MakeLine(const v1::StoredRating& rating) const;
  Line MakePreference(const v1::StoredRating& rating, const v1::RecordRequest& answer) const;
  Line MakeComparison(const v1::StoredRating& rating, const v1::RecordRequest& answer) const;
  Line MakeVerdictPair(const v1::StoredRating& rating, const v1::RecordRequest& answer) const;
  Line MakeRating(const v1::StoredRating& rating, const v1::RecordRequest& answer) const;
  /// The earlier rating of the opposite verdict that this one is paired with, if any.
  Result<std::optional<v1::StoredRating>> FindPartner(const v1::StoredRating& rating) const;

  const platform::DurableStore& store_;
  platform::StoreSnapshot snapshot_;
  v1::ExportRequest request_;
  std::deque<Place> page_;
  uint64_t next_sequence_ = 1;
  bool done_ = false;
};

}  // namespace conclave::feedback
