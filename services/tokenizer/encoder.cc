#include "services/tokenizer/encoder.h"

#include <cstring>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "services/tokenizer/byte_level.h"
#include "services/tokenizer/content_guard.h"
#include "services/tokenizer/limits.h"
#include "services/tokenizer/normalizer.h"
#include "services/tokenizer/piece_cache.h"

namespace conclave::tokenizer {
namespace {

/// The bytes of ASCII at the beginning, eight at a time.
size_t AsciiPrefix(std::string_view text) {
  size_t at = 0;
  for (uint64_t word; at + 8 <= text.size(); at += 8) {
    std::memcpy(&word, text.data() + at, 8);
    if (word & 0x8080808080808080u) break;
  }
  return at;
}

Status CheckText(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    return InvalidArgument("the text has " + std::to_string(text.size()) + " bytes; at most " +
                           std::to_string(kMaxTextBytes) + " are encoded at once");
  }
  const size_t ascii = AsciiPrefix(text);
  const size_t valid = ascii + ValidUtf8Prefix(text.substr(ascii));
  if (valid == text.size()) return Status::Ok();
  return InvalidArgument("the text is not valid UTF-8 at byte " + std::to_string(valid));
}

}  // namespace

/// Encodes pieces one after the other: the cache, then the merges.
class Encoder::PieceEncoder final : public PieceSink {
 public:
  PieceEncoder(const Vocabulary& vocabulary, bool ignore_merges, std::mutex& large_piece_mutex)
      : vocabulary_(vocabulary), ignore_merges_(ignore_merges), large_piece_mutex_(large_piece_mutex) {}

  void SetOutput(std::vector<int32_t>* token_ids) { out_ = token_ids; }
  const MergeWork& work() const { return merger_.work(); }

  void Piece(std::string_view piece) override {
    if (piece.size() > PieceCache::kMaxPieceBytes) return MergePiece(piece);
    const PieceCache::Key key = PieceCache::KeyOf(piece);
    PieceCache::Entry& entry = cache_.SlotOf(key);
    if (!PieceCache::Holds(entry, key)) {
      const size_t before = out_->size();
      MergePiece(piece);
      PieceCache::Store(entry, key, out_->data() + before, out_->size() - before);
    } else if (entry.token_count == 1) {
      out_->push_back(entry.token_ids[0]);
    } else {
      out_->insert(out_->end(), entry.token_ids, entry.token_ids + entry.token_count);
    }
  }

 private:
  void MergePiece(std::string_view piece) {
    if (ignore_merges_ && piece.size() <= kMaxTokenBytes) {
      if (const auto id = vocabulary_.Find(SpellBytes(piece))) return out_->push_back(*id);
    }
    std::unique_lock<std::mutex> one_at_a_time;
    if (piece.size() > kLargePieceBytes) one_at_a_time = std::unique_lock(large_piece_mutex_);
    merger_.Merge(vocabulary_, piece, out_);
  }

  const Vocabulary& vocabulary_;
  const bool ignore_merges_;
  std::mutex& large_piece_mutex_;
  PieceCache cache_;
  BpeMerger merger_;
  std::vector<int32_t>* out_ = nullptr;
};

Result<std::unique_ptr<const Encoder>> Encoder::Create(std::shared_ptr<const Vocabulary> vocabulary) {
  CONCLAVE_ASSIGN_OR_RETURN(PreTokenizerChoice choice, FindPreTokenizer(vocabulary->pre_tokenizer()));
  return std::unique_ptr<const Encoder>(new Encoder(std::move(vocabulary), std::move(choice)));
}

Encoder::Encoder(std::shared_ptr<const Vocabulary> vocabulary, PreTokenizerChoice choice)
    : vocabulary_(std::move(vocabulary)),
      splitter_(std::move(choice.splitter)),
      special_tokens_(*vocabulary_),
      ignore_merges_(vocabulary_->ignore_merges().value_or(choice.ignore_merges)),
      normalize_nfc_(vocabulary_->normalize_nfc().value_or(choice.normalize_nfc)),
      add_begin_token_(vocabulary_->add_begin_token().value_or(choice.add_begin_token)) {}

Encoder::~Encoder() = default;

std::unique_ptr<Encoder::PieceEncoder> Encoder::Borrow() const {
  {
    std::lock_guard lock(idle_mutex_);
    if (!idle_.empty()) {
      auto encoder = std::move(idle_.back());
      idle_.pop_back();
      return encoder;
    }
  }
  return std::make_unique<PieceEncoder>(*vocabulary_, ignore_merges_, large_piece_mutex_);
}

void Encoder::GiveBack(std::unique_ptr<PieceEncoder> encoder) const {
  std::lock_guard lock(idle_mutex_);
  if (idle_.size() < kMaxIdleEncoders) idle_.push_back(std::move(encoder));
}

Status Encoder::EncodePlain(std::string_view text, PieceEncoder& pieces) const {
  std::string storage;
  if (normalize_nfc_) {
    CONCLAVE_ASSIGN_OR_RETURN(text, NormalizeNfc(text, &storage));
  }
  splitter_->Split(text, pieces);
  return Status::Ok();
}

Status Encoder::EncodeParsed(std::string_view text, bool guarded, PieceEncoder& pieces,
                             std::vector<int32_t>* token_ids) const {
  size_t plain_begin = 0;
  for (size_t at = 0; plain_begin < text.size();) {
    const SpecialTokens::Match match = special_tokens_.FindNext(text, at);
    if (guarded && match.token_id >= 0 && IsGuarded(text, match.begin)) {
      at = match.begin + 1;
      continue;
    }
    const std::string_view plain = text.substr(plain_begin, match.begin - plain_begin);
    CONCLAVE_RETURN_IF_ERROR(guarded ? EncodePlain(RemoveGuards(plain), pieces) : EncodePlain(plain, pieces));
    if (match.token_id >= 0) token_ids->push_back(match.token_id);
    at = plain_begin = match.end;
  }
  return Status::Ok();
}

Result<std::vector<int32_t>> Encoder::Encode(std::string_view text, const EncodeOptions& options,
                                             MergeWork* work) const {
  CONCLAVE_RETURN_IF_ERROR(CheckText(text));
  std::vector<int32_t> token_ids;
  token_ids.reserve(text.size() / 4 + 8);
  if (options.add_special && add_begin_token_ && vocabulary_->begin_token_id()) {
    token_ids.push_back(*vocabulary_->begin_token_id());
  }
  std::unique_ptr<PieceEncoder> pieces = Borrow();
  const MergeWork before = pieces->work();
  pieces->SetOutput(&token_ids);
  const Status status = options.parse_special ? EncodeParsed(text, options.guarded, *pieces, &token_ids)
                                              : EncodePlain(text, *pieces);
  if (work != nullptr) {
    *work = {pieces->work().pair_lookups - before.pair_lookups,
             pieces->work().heap_pushes - before.heap_pushes};
  }
  GiveBack(std::move(pieces));
  if (!status.ok()) return status;
  return token_ids;
}

}  // namespace conclave::tokenizer
