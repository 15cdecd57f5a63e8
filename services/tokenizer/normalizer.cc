#include "services/tokenizer/normalizer.h"

#include <algorithm>

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>

#include "services/tokenizer/character_runs.h"
#include "services/tokenizer/limits.h"

namespace conclave::tokenizer {
namespace {

bool IsAscii(std::string_view text) {
  uint8_t bits = 0;
  for (const char c : text) bits |= static_cast<uint8_t>(c);
  return bits < 0x80;
}

Status CheckMarks(std::string_view text) {
  size_t marks = 0;
  for (size_t at = 0; at < text.size();) {
    const ClassifiedCharacter next = ClassifyAt(text, at);
    marks = next.classes & kMark ? marks + 1 : 0;
    if (marks > kMaxCombiningMarks) {
      return InvalidArgument("the text has more than " + std::to_string(kMaxCombiningMarks) +
                             " combining marks in a row, at byte " + std::to_string(at));
    }
    at += next.length;
  }
  return Status::Ok();
}

Status Failed(UErrorCode code) {
  return Internal("Unicode normalisation failed: " + std::string(u_errorName(code)));
}

}  // namespace

Result<std::string_view> NormalizeNfc(std::string_view text, std::string* storage) {
  if (IsAscii(text)) return text;
  CONCLAVE_RETURN_IF_ERROR(CheckMarks(text));
  UErrorCode code = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(code);
  if (U_FAILURE(code)) return Failed(code);
  const icu::StringPiece source(text.data(), static_cast<int32_t>(text.size()));
  const bool normalized = nfc->isNormalizedUTF8(source, code);
  if (U_FAILURE(code)) return Failed(code);
  if (normalized) return text;
  storage->clear();
  icu::StringByteSink<std::string> sink(storage, source.length());
  nfc->normalizeUTF8(0, source, sink, nullptr, code);
  if (U_FAILURE(code)) return Failed(code);
  return std::string_view(*storage);
}

}  // namespace conclave::tokenizer
