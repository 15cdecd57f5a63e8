#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "services/feedback/verdict.h"

namespace conclave::feedback {

// The keys of the feedback service, all below "feedback/1/", where 1 is the version of the format: a later
// format takes another number, and both can be read side by side. Numbers are 16 hexadecimal digits, so that
// keys sort as numbers do; digests and nonces are hexadecimal too.

/// response/ID: a RecordRequest as it was first stored.
std::string ResponseKey(std::string_view response_id);

/// receipt/ID: its StoredReceipt.
std::string ReceiptKey(std::string_view response_id);

/// vote/NONCE: a StoredVote, there exactly when the vote token with this nonce was used. The rating itself
/// lives here, so that a token can never count twice.
std::string VoteKey(std::string_view nonce);

/// order/SEQUENCE: the nonce of the rating with this sequence number.
std::string OrderKey(uint64_t sequence);
inline constexpr std::string_view kOrderPrefix = "feedback/1/order/";

/// verdict/PROMPT/good|bad/ORDINAL: the nonce of the rating that is the ORDINAL-th (from 0) of its verdict on
/// a prompt. `verdict` is not kNone.
std::string VerdictKey(std::string_view prompt_digest, Verdict verdict, uint64_t ordinal);

/// count/PROMPT/good|bad: how many ratings of this verdict the prompt has, as EncodeNumber.
std::string VerdictCountKey(std::string_view prompt_digest, Verdict verdict);

/// sequence: the sequence number given last, as EncodeNumber.
std::string LastSequenceKey();

/// 16 hexadecimal digits.
std::string EncodeNumber(uint64_t value);

/// The inverse; false when `text` is anything else.
bool DecodeNumber(std::string_view text, uint64_t& value);

}  // namespace conclave::feedback
