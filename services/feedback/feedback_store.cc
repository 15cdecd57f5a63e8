#include "services/feedback/feedback_store.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "services/feedback/limits.h"
#include "services/feedback/prompt_digest.h"
#include "services/feedback/record_keys.h"
#include "services/feedback/verdict.h"
#include "services/feedback/vote_token.h"

namespace conclave::feedback {
namespace {

/// Equal messages give equal bytes, whatever order their maps are in.
std::string CanonicalBytes(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

Result<uint64_t> ReadNumber(StagedWrites& staged, const std::string& key) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::optional<std::string> text, staged.Get(key));
  uint64_t value = 0;
  if (text && !DecodeNumber(*text, value)) return DataLoss("the stored value of " + key + " is damaged");
  return value;
}

/// What is known of a response that may be rated now with the token of these claims.
Result<v1::StoredReceipt> ReadRateable(StagedWrites& staged, const v1::VoteTokenClaims& claims) {
  v1::StoredReceipt receipt;
  CONCLAVE_ASSIGN_OR_RETURN(const bool found, staged.GetMessage(ReceiptKey(claims.response_id()), receipt));
  if (!found) return NotFound("there is no response " + claims.response_id());
  if (receipt.claims().nonce() != claims.nonce()) {
    return PermissionDenied("the vote token was replaced by another one for response " +
                            claims.response_id());
  }
  v1::StoredVote vote;
  CONCLAVE_ASSIGN_OR_RETURN(const bool used, staged.GetMessage(VoteKey(claims.nonce()), vote));
  if (!used) return receipt;
  if (vote.has_rating())
    return AlreadyExists("the vote token was used by rating " + vote.rating().rating_id());
  return AlreadyExists("the vote token of response " + claims.response_id() +
                       " was used by a comparison with another answer");
}

/// The message as it is kept: tokens are secrets and are not.
v1::RateRequest WithoutTokens(v1::RateRequest rating) {
  rating.clear_vote_token();
  if (rating.vote().has_preference()) rating.mutable_vote()->mutable_preference()->clear_other_vote_token();
  return rating;
}

void PutRating(StagedWrites& staged, const RateChange& change, const v1::StoredRating& rating) {
  v1::StoredVote vote;
  *vote.mutable_rating() = rating;
  staged.Put(VoteKey(change.claims.nonce()), vote.SerializeAsString());
  if (change.other_claims) {
    v1::StoredVote other;
    other.set_other_side_of_nonce(change.claims.nonce());
    staged.Put(VoteKey(change.other_claims->nonce()), other.SerializeAsString());
  }
  staged.Put(OrderKey(rating.sequence()), change.claims.nonce());
  staged.Put(LastSequenceKey(), EncodeNumber(rating.sequence()));
  const Verdict verdict = VerdictOf(change.rating.vote());
  if (verdict == Verdict::kNone) return;
  staged.Put(VerdictKey(rating.prompt_digest(), verdict, rating.verdict_ordinal()), change.claims.nonce());
  staged.Put(VerdictCountKey(rating.prompt_digest(), verdict), EncodeNumber(rating.verdict_ordinal() + 1));
}

}  // namespace

size_t ChangeBytes(const Change& change) {
  return std::visit(
      [](const auto& one) -> size_t {
        if constexpr (std::is_same_v<std::decay_t<decltype(one)>, RecordChange>) {
          return one.record.ByteSizeLong();
        } else {
          return one.rating.ByteSizeLong();
        }
      },
      change);
}

FeedbackStore::FeedbackStore(platform::DurableStore& store)
    : FeedbackStore(store, [&store](platform::WriteBatch&& batch) {
        return store.Write(std::move(batch), platform::Durability::kSync);
      }) {}

std::vector<Result<Committed>> FeedbackStore::Commit(std::span<const Change> changes) {
  StagedWrites staged(store_);
  std::vector<Result<Committed>> results;
  std::vector<bool> depends_on_group;
  results.reserve(changes.size());
  for (const Change& change : changes) {
    results.push_back(std::visit([&](const auto& one) { return Stage(staged, one); }, change));
    depends_on_group.push_back(staged.TakeDependsOnGroup());
  }
  if (staged.batch().empty()) return results;
  const Status written = Write(std::move(staged.batch()));
  for (size_t i = 0; !written.ok() && i < results.size(); ++i) {
    if (depends_on_group[i]) results[i] = written.Annotate("nothing was stored, and no vote token was used");
  }
  return results;
}

Result<Committed> FeedbackStore::Stage(StagedWrites& staged, const RecordChange& change) {
  const std::string& id = change.record.response_id();
  const std::string bytes = CanonicalBytes(change.record);
  const std::string digest = Sha256(bytes);
  v1::StoredReceipt receipt;
  CONCLAVE_ASSIGN_OR_RETURN(const bool found, staged.GetMessage(ReceiptKey(id), receipt));
  if (found && receipt.response_digest() == digest) return Committed{receipt.claims(), ""};
  if (found) return AlreadyExists("the response_id " + id + " is taken by another answer: choose a new one");
  CONCLAVE_ASSIGN_OR_RETURN(std::string nonce, RandomBytes(kNonceBytes));
  v1::VoteTokenClaims& claims = *receipt.mutable_claims();
  claims.set_response_id(id);
  claims.set_tenant(change.record.tenant());
  claims.set_expires_ms(change.expires_ms);
  claims.set_nonce(std::move(nonce));
  receipt.set_response_digest(digest);
  receipt.set_prompt_digest(PromptDigest(change.record));
  staged.Put(ResponseKey(id), bytes);
  staged.Put(ReceiptKey(id), receipt.SerializeAsString());
  return Committed{claims, ""};
}

Result<Committed> FeedbackStore::Stage(StagedWrites& staged, const RateChange& change) {
  CONCLAVE_ASSIGN_OR_RETURN(const v1::StoredReceipt receipt, ReadRateable(staged, change.claims));
  v1::StoredRating rating;
  if (change.other_claims) {
    CONCLAVE_ASSIGN_OR_RETURN(const v1::StoredReceipt other, ReadRateable(staged, *change.other_claims));
    if (other.prompt_digest() != receipt.prompt_digest()) {
      return FailedPrecondition(
          "the two responses answer different prompts: compare answers to the same one");
    }
    rating.set_other_response_digest(other.response_digest());
  }
  CONCLAVE_ASSIGN_OR_RETURN(const std::string id, RandomBytes(kNonceBytes));
  CONCLAVE_ASSIGN_OR_RETURN(const uint64_t last_sequence, ReadNumber(staged, LastSequenceKey()));
  const Verdict verdict = VerdictOf(change.rating.vote());
  if (verdict != Verdict::kNone) {
    CONCLAVE_ASSIGN_OR_RETURN(const uint64_t before,
                              ReadNumber(staged, VerdictCountKey(receipt.prompt_digest(), verdict)));
    rating.set_verdict_ordinal(before);
  }
  rating.set_rating_id(Hex(id));
  rating.set_sequence(last_sequence + 1);
  rating.set_rated_ms(change.rated_ms);
  rating.set_tenant(change.claims.tenant());
  *rating.mutable_rating() = WithoutTokens(change.rating);
  rating.set_response_digest(receipt.response_digest());
  rating.set_prompt_digest(receipt.prompt_digest());
  PutRating(staged, change, rating);
  return Committed{{}, rating.rating_id()};
}

Status FeedbackStore::Write(platform::WriteBatch&& batch) {
  // When the store cannot resume yet, the write says why.
  if (last_write_failed_) static_cast<void>(store_.TryResume());
  const Status written = write_(std::move(batch));
  last_write_failed_ = !written.ok();
  return written;
}

}  // namespace conclave::feedback
