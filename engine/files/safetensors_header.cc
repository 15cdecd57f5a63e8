#include "engine/files/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "engine/files/byte_reader.h"
#include "engine/files/json_text.h"
#include "engine/files/limits.h"
#include "engine/files/quoted.h"

namespace conclave::engine {
namespace {

using nlohmann::json;

constexpr uint64_t kLengthBytes = 8;

struct ElementType {
  std::string_view name;
  uint64_t bytes;
  std::optional<DType> dtype;
};

constexpr ElementType kTypes[] = {
    {"F32", 4, DType::kF32},      {"F16", 2, DType::kF16},      {"BF16", 2, DType::kBF16},
    {"F64", 8, std::nullopt},     {"I64", 8, std::nullopt},     {"U64", 8, std::nullopt},
    {"I32", 4, std::nullopt},     {"U32", 4, std::nullopt},     {"I16", 2, std::nullopt},
    {"U16", 2, std::nullopt},     {"I8", 1, std::nullopt},      {"U8", 1, std::nullopt},
    {"BOOL", 1, std::nullopt},    {"F8_E4M3", 1, std::nullopt}, {"F8_E5M2", 1, std::nullopt},
    {"F8_E8M0", 1, std::nullopt}, {"C64", 8, std::nullopt},
};

Status Malformed(std::string_view name, std::string_view problem) {
  return ByteReader::Malformed("header entry " + Quoted(name), kLengthBytes, problem);
}

/// A JSON number as a size; nullopt when it is not a whole number from 0 to 2^63 - 1.
std::optional<uint64_t> Size(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.get<uint64_t>();
  if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return number;
}

Result<const ElementType*> ReadType(const std::string& name, const json& entry) {
  const auto found = entry.find("dtype");
  if (found == entry.end() || !found->is_string()) return Malformed(name, "'dtype' is missing or not a text");
  const auto& text = found->get_ref<const std::string&>();
  for (const ElementType& type : kTypes) {
    if (type.name == text) return &type;
  }
  return Malformed(name, "unknown 'dtype' " + Quoted(text));
}

/// Fills rank and shape, and returns the number of elements. More than four dimensions make a tensor
/// unusable.
Result<uint64_t> ReadShape(const std::string& name, const json& entry, SafetensorsEntry& out) {
  const auto found = entry.find("shape");
  if (found == entry.end() || !found->is_array()) return Malformed(name, "'shape' is missing or not a list");
  uint64_t elements = 1;
  for (const json& item : *found) {
    const auto size = Size(item);
    if (!size) return Malformed(name, "'shape' holds something that is not a size");
    if (*size == 0) return Malformed(name, "'shape' holds a zero");
    if (*size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / elements) {
      return Malformed(name, "'shape' overflows 63 bits");
    }
    elements *= *size;
    if (out.rank < kMaxTensorRank) out.shape[out.rank] = static_cast<int64_t>(*size);
    ++out.rank;
  }
  if (out.rank > kMaxTensorRank) out.unusable = "has " + std::to_string(out.rank) + " dimensions";
  return elements;
}

/// Sets data_offset, which still counts from the beginning of the data, and data_bytes.
Status ReadOffsets(const std::string& name, const json& entry, uint64_t data_size, SafetensorsEntry& out) {
  const auto found = entry.find("data_offsets");
  const bool is_pair = found != entry.end() && found->is_array() && found->size() == 2;
  const auto begin = is_pair ? Size((*found)[0]) : std::nullopt;
  const auto end = is_pair ? Size((*found)[1]) : std::nullopt;
  if (!begin || !end) return Malformed(name, "'data_offsets' is missing or not two offsets");
  if (*begin > *end || *end > data_size) {
    return Malformed(name, "'data_offsets' [" + std::to_string(*begin) + ", " + std::to_string(*end) +
                               "] lie outside the " + std::to_string(data_size) +
                               " bytes of data in the file: is the download complete?");
  }
  out.data_offset = *begin;
  out.data_bytes = *end - *begin;
  return Status::Ok();
}

Result<SafetensorsEntry> ReadEntry(const std::string& name, const json& entry, uint64_t data_size) {
  if (name.empty() || name.size() > kMaxTensorNameBytes)
    return Malformed(name, "the name is empty or too long");
  if (!entry.is_object() || entry.size() != 3) {
    return Malformed(name, "must be an object with 'dtype', 'shape' and 'data_offsets'");
  }
  SafetensorsEntry out;
  out.name = name;
  CONCLAVE_ASSIGN_OR_RETURN(const ElementType* type, ReadType(name, entry));
  CONCLAVE_ASSIGN_OR_RETURN(const uint64_t elements, ReadShape(name, entry, out));
  CONCLAVE_RETURN_IF_ERROR(ReadOffsets(name, entry, data_size, out));
  if (elements > kMaxModelFileBytes / type->bytes || elements * type->bytes != out.data_bytes) {
    return Malformed(name, "'shape' and 'dtype' need another number of bytes than the " +
                               std::to_string(out.data_bytes) + " of 'data_offsets'");
  }
  if (!type->dtype) {
    out.is_bytes = type->name == "U8" && out.unusable.empty();
    out.unusable = "is stored as " + std::string(type->name);
  }
  if (out.unusable.empty()) out.dtype = type->dtype;
  return out;
}

Status CheckMetadata(const json& metadata) {
  if (!metadata.is_object()) return Malformed("__metadata__", "must be an object");
  for (const auto& [key, value] : metadata.items()) {
    if (!value.is_string())
      return Malformed("__metadata__", "the value of " + Quoted(key) + " is not a text");
  }
  return Status::Ok();
}

/// Sorts by data offset and checks that the data cover [0, data_size) exactly; then makes offsets count from
/// the beginning of the file.
Status PlaceData(uint64_t data_begin, uint64_t data_size, std::vector<SafetensorsEntry>& entries) {
  std::ranges::sort(entries, {}, &SafetensorsEntry::data_offset);
  uint64_t covered = 0;
  for (SafetensorsEntry& entry : entries) {
    if (entry.data_offset < covered) return Malformed(entry.name, "its data overlap those of another tensor");
    if (entry.data_offset > covered) {
      return Malformed(entry.name, std::to_string(entry.data_offset - covered) +
                                       " bytes before its data belong to no tensor");
    }
    covered += entry.data_bytes;
    entry.data_offset += data_begin;
    const uint64_t element_bytes = entry.dtype ? static_cast<uint64_t>(InfoOf(*entry.dtype).block_bytes) : 1;
    if (entry.data_offset % element_bytes != 0) {
      return Malformed(entry.name,
                       "its data begin at byte " + std::to_string(entry.data_offset) +
                           ", which is not aligned to its numbers: save the file again with a current "
                           "version of safetensors");
    }
  }
  if (covered != data_size) {
    return InvalidArgument("data at byte " + std::to_string(data_begin + covered) + ": the last " +
                           std::to_string(data_size - covered) + " bytes of the file belong to no tensor");
  }
  return Status::Ok();
}

Result<std::vector<SafetensorsEntry>> ReadEntries(const json& header, uint64_t data_size) {
  if (!header.is_object()) return ByteReader::Malformed("header", kLengthBytes, "must be a JSON object");
  if (header.size() > kMaxTensors + 1) {
    return ByteReader::Malformed(
        "header", kLengthBytes,
        std::to_string(header.size()) + " entries, at most " + std::to_string(kMaxTensors) + " are allowed");
  }
  std::vector<SafetensorsEntry> entries;
  entries.reserve(header.size());
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      CONCLAVE_RETURN_IF_ERROR(CheckMetadata(value));
      continue;
    }
    CONCLAVE_ASSIGN_OR_RETURN(SafetensorsEntry entry, ReadEntry(name, value, data_size));
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace

Result<std::vector<SafetensorsEntry>> ReadSafetensorsHeader(std::span<const std::byte> file) {
  ByteReader reader(file);
  CONCLAVE_ASSIGN_OR_RETURN(const auto length, reader.Read<uint64_t>("header length"));
  if (length > kMaxSafetensorsHeaderBytes) {
    return ByteReader::Malformed("header length", 0,
                                 std::to_string(length) + " bytes, at most " +
                                     std::to_string(kMaxSafetensorsHeaderBytes) + " are allowed");
  }
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view text, reader.ReadText(length, "header"));
  Result<json> header = ParseJson(text);
  if (!header.ok()) return ByteReader::Malformed("header", kLengthBytes, header.status().message());
  const uint64_t data_size = reader.remaining();
  CONCLAVE_ASSIGN_OR_RETURN(auto entries, ReadEntries(*header, data_size));
  CONCLAVE_RETURN_IF_ERROR(PlaceData(reader.offset(), data_size, entries));
  return entries;
}

}  // namespace conclave::engine
